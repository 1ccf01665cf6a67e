"""The one table from exception to `Failure`: kind, retryable or not, HTTP status, advice.

In comes any exception, out goes what follows from it. The service's code and HTTP status count first, the class and the
place where it was raised second, texts make a verdict more precise. Nothing here imports botocore: classes are known by
their names. No advice ever quotes the text of a foreign exception, which may hold a secret.
"""

from __future__ import annotations

import re
from typing import Any

from .errors import (
    TRANSPORT_MODULES,
    BedrockError,
    Failure,
    IdleTimeoutError,
    Kind,
    StreamFaultError,
    class_names,
    classify_text,
    is_stale_connection_error,
    service_error,
    was_raised_in,
)
from .values import frozen


@frozen
class _Rule:
    """A row's verdict; what is None comes from the kind's row. `{...}` in the advice is filled from the exception."""

    kind: Kind
    advice: str | None = None
    retryable: bool | None = None
    status: int | None = None


@frozen
class _KindRow:
    retryable: bool
    status: int
    advice: str


#: Statuses after what OpenAI's SDK makes of them: 401 AuthenticationError, 408/409/429/>=500 tried again by itself.
_KINDS: dict[Kind, _KindRow] = {
    "rate_limit": _KindRow(
        True, 429, "Bedrock throttles this account: wait, send less at once, or ask for more quota."
    ),
    "quota": _KindRow(False, 429, "A quota of the account is used up; trying again soon does not help."),
    "overloaded": _KindRow(True, 503, "The model is overloaded or still loading: try again in a while."),
    "server_error": _KindRow(True, 500, "The service failed: try again."),
    "model_error": _KindRow(
        True, 424, "The model failed on this request: try again; if it repeats, change the request."
    ),
    "timeout": _KindRow(
        False, 504, "No answer in time. Stream long answers, or raise BEDROCK_READ_TIMEOUT; a retry is billed again."
    ),
    "idle_timeout": _KindRow(
        False, 504, "The stream fell silent. BEDROCK_IDLE_TIMEOUT sets how long to wait; a retry is billed again."
    ),
    "connection": _KindRow(True, 502, "The connection failed: check the network, the proxy and the endpoint."),
    "truncated": _KindRow(True, 502, "The answer ended before it was complete: try again."),
    "corrupt": _KindRow(
        True, 502, "What came is not what Bedrock sends: something on the way (proxy, gateway) may have changed it."
    ),
    "malformed_output": _KindRow(True, 502, "The model's output could not be parsed by the service: try again."),
    "context_overflow": _KindRow(False, 400, "The conversation is longer than the model's context: shorten it."),
    "invalid_request": _KindRow(False, 400, "The request is not valid for this model: change it as the message says."),
    "unsupported": _KindRow(
        False, 400, "This model does not support what was asked: leave it out or change the model."
    ),
    "model_not_found": _KindRow(
        False, 404, "There is no such model for this account and region: check the model id, the prefix and the region."
    ),
    "access_denied": _KindRow(
        False, 403, "Not allowed: check the IAM policy (model and inference profile ARN) and the model's access."
    ),
    "auth": _KindRow(False, 401, "The AWS credentials were not accepted or not found."),
    "region": _KindRow(False, 400, "Set the AWS region: region=, AWS_REGION, or `aws configure set region us-east-1`."),
    "interrupted": _KindRow(False, 499, ""),
    "unknown": _KindRow(False, 500, ""),
}

_LOGIN = "Sign in again: aws sso login{profile_option}"
_REFRESH = "Refresh the credentials (aws sso login{profile_option}, aws login, or new keys) and check the system clock."

_AUTH = _Rule("auth", _REFRESH)
_ACCESS = _Rule("access_denied")
_THROTTLED = _Rule("rate_limit")
_SERVER = _Rule("server_error")

#: The service's codes in lower case (in a stream they come as `throttlingException`, otherwise as `ThrottlingException`).
_CODES: dict[str, _Rule] = {
    "validationexception": _Rule("invalid_request"),
    "badrequestexception": _Rule("invalid_request"),
    "malformedinputexception": _Rule("invalid_request"),
    "serializationexception": _Rule("invalid_request"),
    "requestentitytoolargeexception": _Rule("context_overflow", status=413),
    "throttlingexception": _THROTTLED,
    "throttling": _THROTTLED,
    "toomanyrequestsexception": _THROTTLED,
    "limitexceededexception": _THROTTLED,
    "slowdown": _THROTTLED,
    "servicequotaexceededexception": _Rule("quota"),
    "modelnotreadyexception": _Rule("overloaded", status=429),
    "serviceunavailableexception": _Rule("overloaded"),
    "serviceunavailable": _Rule("overloaded"),
    "internalserverexception": _SERVER,
    "internalfailure": _SERVER,
    "internalerror": _SERVER,
    "modeltimeoutexception": _Rule("timeout", "The model took too long: try again, or ask for less.", True, 408),
    "modelerrorexception": _Rule("model_error"),
    "modelstreamerrorexception": _Rule("model_error"),
    "resourcenotfoundexception": _Rule("model_not_found"),
    "unknownoperationexception": _Rule(
        "unsupported", "The endpoint does not know Converse: check AWS_ENDPOINT_URL_BEDROCK_RUNTIME and the region."
    ),
    "accessdeniedexception": _ACCESS,
    "accessdenied": _ACCESS,
    "ftuformnotfilled": _Rule("access_denied", "{use_case}"),
    "mpagreementbeingcreated": _Rule("access_denied", "{marketplace}"),
    "expiredtokenexception": _Rule("auth", "The credentials have expired. " + _REFRESH),
    "expiredtoken": _Rule("auth", "The credentials have expired. " + _REFRESH),
    "unrecognizedclientexception": _Rule("auth", "The key or session token is not known to AWS. " + _REFRESH),
    "invalidclienttokenid": _Rule("auth", "The access key is not known to AWS. " + _REFRESH),
    "invalidsignatureexception": _Rule(
        "auth", "The signature was refused: check the secret access key, and that the system clock is right."
    ),
    "signaturedoesnotmatch": _Rule("auth", "The signature was refused: check the secret access key and the clock."),
    "incompletesignature": _AUTH,
    "incompletesignatureexception": _AUTH,
    "missingauthenticationtokenexception": _AUTH,
    "missingauthenticationtoken": _AUTH,
    "unauthorizedexception": _AUTH,
    "requestexpired": _Rule("auth", "The request was signed too long ago: check the system clock."),
    "optinrequired": _Rule("access_denied", "The account is not signed up for this service or region."),
}

_REDIRECTED = _Rule(
    "corrupt", "The endpoint answers with a redirect: check AWS_ENDPOINT_URL_BEDROCK_RUNTIME and the proxy.", False
)

#: Where no code is known; a code that is the status as text ("529") comes here too.
_STATUSES: dict[int, _Rule] = {
    400: _Rule("invalid_request"),
    401: _AUTH,
    403: _ACCESS,
    404: _Rule("model_not_found"),
    407: _Rule("connection", "The proxy wants credentials: put them into HTTPS_PROXY.", False),
    408: _Rule("timeout", "The model took too long: try again, or ask for less.", True, 408),
    413: _Rule("context_overflow", status=413),
    422: _Rule("invalid_request"),
    424: _Rule("model_error"),
    429: _THROTTLED,
    500: _SERVER,
    502: _Rule("server_error", status=502),
    503: _Rule("overloaded"),
    504: _Rule("server_error", "A gateway gave up waiting for the service: try again.", status=504),
    529: _Rule("overloaded"),
}

#: Hundreds of all other statuses.
_STATUS_CLASSES: dict[int, _Rule] = {3: _REDIRECTED, 4: _Rule("invalid_request"), 5: _SERVER}

_CONNECTION = _Rule("connection")
_READ_TIMEOUT = _Rule("timeout")
_NO_CONNECTION = _Rule("timeout", "No connection in time: check the network, the proxy and the VPC endpoint.", True)
_CORRUPT = _Rule("corrupt")

#: Classes by module and name; the first along an exception's bases that stands here decides.
_CLASSES: dict[str, _Rule] = {
    "botocore.exceptions.NoCredentialsError": _Rule(
        "auth",
        "Give credentials in one of these ways: AWS_BEARER_TOKEN_BEDROCK (a Bedrock API key); aws sso login or aws login;"
        " aws configure (access keys); or a role of the instance, container or pod.",
    ),
    "botocore.exceptions.PartialCredentialsError": _Rule("auth", "Half of a pair of keys: {missing} is not set."),
    "botocore.exceptions.ProfileNotFound": _Rule(
        "auth", "There is no profile {profile!r} in the AWS config files.{available} See: aws configure list-profiles"
    ),
    "botocore.exceptions.SSOTokenLoadError": _Rule(
        "auth", "No SSO sign-in is stored. Sign in: aws sso login{profile_option}"
    ),
    "botocore.exceptions.UnauthorizedSSOTokenError": _Rule("auth", "The SSO sign-in has expired. " + _LOGIN),
    "botocore.exceptions.SSOError": _Rule("auth", _LOGIN),
    "botocore.exceptions.TokenRetrievalError": _Rule("auth", "The SSO sign-in has expired. " + _LOGIN),
    "botocore.exceptions.LoginError": _Rule("auth", "Sign in again: aws login{profile_option}"),
    "botocore.exceptions.MissingDependencyException": _Rule(
        "auth", 'Profiles made by `aws login` need one more package: pip install "botocore[crt]"'
    ),
    "botocore.exceptions.CredentialRetrievalError": _Rule("auth", "{retrieval}"),
    "botocore.exceptions.MetadataRetrievalError": _Rule(
        "auth", "The instance or container gave no credentials: check that a role is attached to it."
    ),
    "botocore.exceptions.RefreshWithMFAUnsupportedError": _Rule(
        "auth", "The role wants a new MFA code, which cannot be asked for here: get session keys with aws sts first."
    ),
    "botocore.exceptions.NoAuthTokenError": _Rule(
        "auth", "AWS_BEARER_TOKEN_BEDROCK was set after this client was built: build a new client."
    ),
    "botocore.exceptions.InvalidEndpointConfigurationError": _Rule(
        "auth", "A bearer token is only sent over https: use an https endpoint, or access keys for a plain http one."
    ),
    "botocore.exceptions.InvalidConfigError": _Rule(
        "auth",
        "The AWS config is not complete: check source_profile and role_arn{of_profile}.",
    ),
    "botocore.exceptions.ConfigParseError": _Rule("auth", "The AWS config file cannot be read: mend its syntax."),
    "botocore.exceptions.UnknownCredentialError": _Rule("auth", "The AWS config names a source that does not exist."),
    "botocore.exceptions.NoRegionError": _Rule("region"),
    "botocore.exceptions.InvalidRegionError": _Rule("region", "This is no AWS region; one looks like us-east-1."),
    "botocore.exceptions.UnknownRegionError": _Rule("region", "This is no AWS region; one looks like us-east-1."),
    "botocore.exceptions.EndpointResolutionError": _Rule(
        "region", "No endpoint fits: check region, FIPS and dual-stack."
    ),
    "botocore.exceptions.ConnectTimeoutError": _NO_CONNECTION,
    "botocore.exceptions.ReadTimeoutError": _READ_TIMEOUT,
    "botocore.exceptions.EndpointConnectionError": _Rule(
        "connection", "The endpoint cannot be reached: check the network, the proxy, and that the region has Bedrock."
    ),
    "botocore.exceptions.SSLError": _Rule(
        "connection", "The TLS connection failed: check the proxy and AWS_CA_BUNDLE."
    ),
    "botocore.exceptions.ProxyConnectionError": _Rule(
        "connection", "The proxy failed: check HTTPS_PROXY and NO_PROXY."
    ),
    "botocore.exceptions.InvalidProxiesConfigError": _Rule("connection", "Check HTTPS_PROXY and NO_PROXY.", False),
    "botocore.exceptions.ConnectionError": _CONNECTION,
    "botocore.exceptions.HTTPClientError": _CONNECTION,
    "botocore.exceptions.IncompleteReadError": _Rule("truncated"),
    "botocore.exceptions.ParamValidationError": _Rule(
        "invalid_request", "botocore refused the request before sending it: change what the message names."
    ),
    "botocore.exceptions.ValidationError": _Rule("invalid_request"),
    "botocore.exceptions.UnknownServiceError": _Rule(
        "unsupported", 'This boto3 is too old for Bedrock: pip install -U "boto3"'
    ),
    "botocore.parsers.ResponseParserError": _CORRUPT,
    "botocore.eventstream.ParserError": _CORRUPT,
    "urllib3.exceptions.ReadTimeoutError": _READ_TIMEOUT,
    "urllib3.exceptions.NewConnectionError": _CONNECTION,
    "urllib3.exceptions.ConnectTimeoutError": _Rule("timeout", "No connection in time: check the network.", True),
    "urllib3.exceptions.TimeoutError": _READ_TIMEOUT,
    "urllib3.exceptions.DecodeError": _CORRUPT,
    "urllib3.exceptions.HTTPError": _CONNECTION,
    "http.client.IncompleteRead": _Rule("truncated"),
    "http.client.HTTPException": _CONNECTION,
    "ssl.SSLError": _CONNECTION,
    "socket.gaierror": _Rule("connection", "The name of the endpoint is not known: check the region and the network."),
    "builtins.ConnectionError": _CONNECTION,
    "builtins.TimeoutError": _READ_TIMEOUT,
    "builtins.InterruptedError": _Rule("interrupted"),
    "builtins.KeyboardInterrupt": _Rule("interrupted"),
    "asyncio.exceptions.CancelledError": _Rule("interrupted"),
}


#: The service's words for a conversation that is too long; none of them may fit a throttle's ("Too many tokens, ...").
CONTEXT_OVERFLOW_PATTERNS: list[re.Pattern[str]] = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"input is too long",
        r"prompt is too long",
        r"input length and .{0,3}max_tokens.{0,3} exceed",
        r"too many (?:input tokens|total text bytes)",
        r"exceeds? the (?:maximum|max) (?:number of )?(?:input )?tokens",
        r"ValidationException.*(?:max input token|input token.*exceed)",
        # GLM and MiniMax inside "Mantle streaming error" (strands-agents/harness-sdk#3969)
        r"maximum context length (?:is|of)",
        r"exceeds? (?:the )?(?:model'?s? )?(?:maximum )?context (?:window|length|limit)",
        r"context_length_exceeded|model_context_window_exceeded",
    )
]
THROTTLE_PATTERNS: list[re.Pattern[str]] = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"ThrottlingException",
        r"TooManyRequestsException",
        r"ServiceQuotaExceededException",
        r"Too many concurrent requests",
        r"Too many (?:requests|tokens)(?: per day)?, please wait",
        r"rate exceeded",
    )
]
OVERLOAD_PATTERNS: list[re.Pattern[str]] = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"ModelNotReadyException",
        r"ModelTimeoutException",
        r"InternalServerException",
        r"ServiceUnavailableException",
        r"\boverloaded\b",
    )
]


def matches(patterns: list[re.Pattern[str]], text: str) -> bool:
    """Whether one of the patterns is found in `text`."""
    return any(pattern.search(text) for pattern in patterns)


@frozen
class _Refinement:
    """A text that makes a verdict more precise, for verdicts of these kinds only."""

    within: frozenset[Kind]
    pattern: re.Pattern[str]
    rule: _Rule


def _refine(within: str, pattern: str, rule: _Rule) -> _Refinement:
    kinds: Any = frozenset(within.split())
    return _Refinement(kinds, re.compile(pattern, re.IGNORECASE | re.DOTALL), rule)


_REFUSED = "invalid_request model_error unknown"

#: Texts in the order in which they are tried, after the patterns of context overflow.
_TEXTS: tuple[_Refinement, ...] = (
    _refine(
        "rate_limit", r"per day|daily", _Rule("quota", "The daily token quota is used up; it is full again tomorrow.")
    ),
    _refine(
        _REFUSED,
        r"on-demand throughput isn.t supported",
        _Rule(
            "model_not_found",
            "This model is only served through an inference profile: put its prefix before the id"
            " (us., eu., apac., global. ...), or give the profile's ARN.",
        ),
    ),
    _refine(_REFUSED, r"model identifier is invalid", _Rule("model_not_found")),
    _refine(
        "invalid_request",
        r"operation not allowed",
        _Rule("access_denied", "AWS has not opened Bedrock for this account yet: ask AWS Support."),
    ),
    _refine(
        _REFUSED,
        r"tool use in streaming mode",
        _Rule("unsupported", "This model cannot stream with tools: call it without streaming."),
    ),
    _refine(
        _REFUSED,
        r"doesn.t support|does not support|is not supported|not supported for this model|extra inputs are not permitted"
        r"|extraneous key|is deprecated for this model|unexpected role|does not match any of the expected tags",
        _Rule("unsupported"),
    ),
    _refine(
        "invalid_request",
        r"maximum tokens you requested exceeds",
        _Rule("invalid_request", "max_tokens is above the model's limit: ask for less."),
    ),
    _refine(
        "model_not_found access_denied", r"FTUFormNotFilled|use case details", _Rule("access_denied", "{use_case}")
    ),
    _refine("access_denied", r"MPAgreementBeingCreated|marketplace", _Rule("access_denied", "{marketplace}")),
    _refine(
        "access_denied",
        r"InvokeModelWithResponseStream",
        _Rule("access_denied", "Allow bedrock:InvokeModelWithResponseStream, or call without streaming."),
    ),
    _refine(
        "access_denied",
        r"security token .{0,20}(?:expired|invalid)",
        _Rule("auth", "The session has expired. " + _REFRESH),
    ),
    _refine(
        "access_denied",
        r"authentication failed|api key|bearer token",
        _Rule("auth", "The Bedrock API key was not accepted: check AWS_BEARER_TOKEN_BEDROCK, or make a new key."),
    ),
    _refine(
        "access_denied",
        r"don.t have access to the model",
        _Rule("access_denied", "Ask for access to this model in the Bedrock console (Model access), in this region."),
    ),
    _refine(
        "model_not_found",
        r"end of its life|legacy",
        _Rule("model_not_found", "AWS has retired this version of the model: choose a newer one."),
    ),
    _refine(
        "connection",
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        _Rule("connection", "The certificate is not trusted: point AWS_CA_BUNDLE at the CA of your proxy.", False),
    ),
    _refine(
        "connection",
        r"SSL validation failed.*(?:\[Errno \d+\] (?:No such file|Is a directory|Permission)|NO_CERTIFICATE|\[X509\])",
        _Rule(
            "connection",
            "AWS_CA_BUNDLE (or ca_bundle in the AWS config) names no readable file of certificates.",
            False,
        ),
    ),
    _refine(
        "connection", r"\b407\b", _Rule("connection", "The proxy wants credentials: put them into HTTPS_PROXY.", False)
    ),
    _refine(
        "connection",
        r"Invalid header value|Invalid header",
        _Rule("auth", "A key or token holds a line break or a stray character (it is not shown here): set it anew."),
    ),
    _refine("unknown", r"refreshed credentials are still expired", _Rule("auth", "{retrieval}")),
)

#: Operations by which botocore fetches credentials inside a call to Bedrock, and who answers them.
_CREDENTIAL_OPERATIONS: dict[str, tuple[str, str]] = {
    "GetRoleCredentials": (
        "AWS SSO",
        "The SSO role was refused: check sso_account_id and sso_role_name{of_profile}.",
    ),
    "CreateToken": ("AWS SSO", _LOGIN),
    "AssumeRole": ("AWS STS", "The role could not be assumed: check role_arn and its trust policy{of_profile}."),
    "AssumeRoleWithWebIdentity": (
        "AWS STS",
        "The role could not be assumed: check its trust policy and the token file.",
    ),
    "AssumeRoleWithSAML": ("AWS STS", "The role could not be assumed: check its trust policy."),
    "GetSessionToken": ("AWS STS", _REFRESH),
    "CreateOAuth2Token": ("AWS sign-in", "Sign in again: aws login{profile_option}"),
}

#: Beginnings of hosts that give credentials, and who they are.
_CREDENTIAL_HOSTS: tuple[tuple[str, str], ...] = (
    ("oidc.", "AWS SSO"),
    ("portal.sso.", "AWS SSO"),
    ("sts.", "AWS STS"),
    ("sts-fips.", "AWS STS"),
    ("signin.", "AWS sign-in"),
    ("169.254.169.254", "the instance metadata service"),
    ("[fd00:ec2::254]", "the instance metadata service"),
    ("169.254.170.", "the container's credentials endpoint"),
    ("[fd00:ec2::23]", "the container's credentials endpoint"),
)

#: Sources of CredentialRetrievalError, and what to do about each.
_RETRIEVALS: dict[str, str] = {
    "custom-process": "The credential_process{of_profile} failed: run it by hand"
    " (aws configure get credential_process{profile_option}).",
    "container-role": "The container's credentials endpoint gave none: check the task role and the pod identity agent.",
    "sso": _LOGIN,
    "login": "Sign in again: aws login{profile_option}",
}

_ADVICE_PARTS = {
    "use_case": "Anthropic's use case form is not filled in for this account: fill it in once in the Bedrock console"
    " (Model catalog), then wait some minutes.",
    "marketplace": "The model's Marketplace subscription is not ready: try again in some minutes; if it stays so, allow"
    " aws-marketplace:Subscribe and aws-marketplace:ViewSubscriptions.",
}


# --- the way through the table ----------------------------------------------------------------------------------------


def failure_of(exc: BaseException) -> Failure:
    """What `exc` means, by the table; `errors.classify` is the way in that never raises."""
    rule, decisive = _verdict(exc)
    row = _KINDS[rule.kind]
    service = _credential_service(decisive)
    advice = _filled(row.advice if rule.advice is None else rule.advice, decisive)
    if service:
        advice = f"This came from {service}, which was asked for credentials, not from Bedrock. {advice}".strip()
    return Failure(
        kind=rule.kind,
        retryable=row.retryable if rule.retryable is None else rule.retryable,
        evict=(is_stale_connection_error(exc) or _is_dead_under_its_reader(exc)) and not service,
        status=row.status if rule.status is None else rule.status,
        retry_after=_retry_after(_headers(decisive)),
        request_id=_request_id(exc) or _request_id(decisive),
        advice=advice,
    )


def _verdict(exc: BaseException) -> tuple[_Rule, BaseException]:
    """The rule for `exc`, or for what it was raised from where it says nothing itself, and the exception it came from."""
    link: BaseException | None = exc
    for _ in range(8):
        if link is None:
            break
        rule = _refined(_first_rule(link), link)
        if rule.kind != "unknown":
            return rule, link
        link = _cause(link)
    return _Rule("unknown"), exc


def _first_rule(exc: BaseException) -> _Rule:
    return _own_rule(exc) or _response_rule(exc) or _class_rule(exc) or _origin_rule(exc) or _Rule("unknown")


def _own_rule(exc: BaseException) -> _Rule | None:
    if isinstance(exc, StreamFaultError):
        return _code_rule(exc.code) or _Rule("server_error", _UNKNOWN_FAULT)
    return _Rule(exc.kind, _OWN_ADVICE.get(type(exc).__name__)) if isinstance(exc, BedrockError) else None


#: What our own errors say in their text already needs no advice.
_OWN_ADVICE = {
    "InvalidRequestError": "",
    "SettingsError": "",
    "DeadlineExceededError": "The time allowed for the call is over.",
}

_UNKNOWN_FAULT = (
    "The service ended the stream with a fault that this boto3 does not know: try again, or install a newer boto3."
)


def _response_rule(exc: BaseException) -> _Rule | None:
    """The verdict of the service's own answer, in the shape of botocore's ClientError or of an HTTP SDK's error."""
    error = service_error(exc)
    status = _status_of(exc)
    if error is None and status is None:
        return None
    code = str((error or {}).get("Code") or "")
    rule = _code_rule(code) or _status_rule(status)
    operation = _CREDENTIAL_OPERATIONS.get(getattr(exc, "operation_name", None) or "")
    if operation and (rule is None or not _KINDS[rule.kind].retryable):
        return _Rule("auth", operation[1])
    if rule is None and _is_named(exc, "botocore.exceptions.EventStreamError"):
        return _Rule("server_error", _UNKNOWN_FAULT)
    return rule


def _status_rule(status: int | None) -> _Rule | None:
    if status is None:
        return None
    return _STATUSES.get(status) or _STATUS_CLASSES.get(status // 100, _SERVER)


def _code_rule(code: str) -> _Rule | None:
    # "ThrottlingException:http://internal.amazon.com/..." and "com.amazon#ThrottlingException" are the same code.
    name = code.split(":", 1)[0].rpartition("#")[2].strip().lower()
    return _CODES.get(name) or (_STATUSES.get(int(name)) if name.isascii() and name.isdigit() else None)


def _class_rule(exc: BaseException) -> _Rule | None:
    rules = (_CLASSES.get(name) for name in class_names(exc))
    rule = next((rule for rule in rules if rule is not None), None)
    return _NO_CONNECTION if rule is _READ_TIMEOUT and _was_connecting(exc) else rule


def _was_connecting(exc: BaseException) -> bool:
    """Whether time ran out in TLS' handshake or a proxy's CONNECT, before anything was sent: urllib3 calls that a read."""
    link: BaseException | None = exc
    for _ in range(4):
        if link is None:
            break
        if was_raised_in(link, ("urllib3.connection",), function="connect"):
            return True
        link = link.__cause__ or link.__context__
    return False


def _origin_rule(exc: BaseException) -> _Rule | None:
    """The verdict by where it was raised: botocore lets builtin exceptions out of the fetching of credentials."""
    if isinstance(exc, AssertionError) and was_raised_in(exc, TRANSPORT_MODULES):
        return _CONNECTION
    if isinstance(exc, ImportError) and (exc.name or "").partition(".")[0] in ("boto3", "botocore"):
        return _Rule("unsupported", 'boto3 is needed: pip install "boto3"')
    if not was_raised_in(exc, ("botocore.credentials", "botocore.tokens")):
        return None
    if isinstance(exc, FileNotFoundError) and not was_raised_in(exc, ("subprocess",)):
        return _Rule(
            "auth",
            "AWS_WEB_IDENTITY_TOKEN_FILE, or web_identity_token_file{of_profile}, names a file that is not there.",
        )
    return _Rule("auth", "{retrieval}")


def _refined(rule: _Rule, exc: BaseException) -> _Rule:
    text = _text_of(exc)
    if rule.kind in _MAY_BE_OVERFLOW and matches(CONTEXT_OVERFLOW_PATTERNS, text) and not _is_own(exc):
        return _Rule("context_overflow")
    for row in _TEXTS:
        if rule.kind in row.within and row.pattern.search(text) and not _is_own(exc):
            return row.rule
    if rule.kind == "unknown" and not _is_own(exc):
        return _BY_TEXT.get(classify_text(text), rule)
    return rule


_MAY_BE_OVERFLOW: frozenset[Kind] = frozenset({"invalid_request", "model_error", "server_error", "unknown"})
_BY_TEXT: dict[str, _Rule] = {"rate_limit": _THROTTLED, "overloaded": _Rule("overloaded")}


# --- facts of an exception --------------------------------------------------------------------------------------------


def _is_own(exc: BaseException) -> bool:
    """Whether the text is ours, which no pattern is meant for; a fault of the stream carries the service's words."""
    return isinstance(exc, BedrockError) and not isinstance(exc, StreamFaultError)


def _is_named(exc: BaseException, name: str) -> bool:
    return name in class_names(exc)


def _metadata_of(exc: BaseException) -> dict[str, Any]:
    response = getattr(exc, "response", None)
    metadata = response.get("ResponseMetadata") if isinstance(response, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _status_of(exc: BaseException) -> int | None:
    for status in (_metadata_of(exc).get("HTTPStatusCode"), getattr(exc, "status_code", None)):
        if isinstance(status, int) and status >= 300:
            return status
    return None


def _text_of(exc: BaseException) -> str:
    """Everything the exception says, for patterns to look at; never for advice, since a secret may be in it."""
    error = service_error(exc)
    if error is None:
        # botocore keeps what urllib3 said of a proxy beside its text.
        return f"{exc} {_keywords(exc).get('error', '')}"
    # Bedrock sometimes puts the model's own words beside its own.
    original = getattr(exc, "response", {}).get("originalMessage")
    return " ".join(str(part) for part in (error.get("Code"), error.get("Message"), original) if part)


def _is_dead_under_its_reader(exc: BaseException) -> bool:
    """Whether a stream fell silent or its TLS broke: at the call, botocore's own exceptions for that are stale ones.

    A network that swallows one connection has often swallowed those that lie in the pool, too.
    """
    return isinstance(exc, IdleTimeoutError) or not _DEAD_CLASSES.isdisjoint(class_names(exc))


_DEAD_CLASSES = frozenset({"urllib3.exceptions.TimeoutError", "urllib3.exceptions.SSLError"})


def _headers(exc: BaseException) -> dict[str, str]:
    headers = _metadata_of(exc).get("HTTPHeaders")
    return {str(name).lower(): str(value) for name, value in headers.items()} if isinstance(headers, dict) else {}


def _request_id(exc: BaseException) -> str | None:
    found = (
        getattr(exc, "request_id", None)
        or _metadata_of(exc).get("RequestId")
        or _headers(exc).get("x-amzn-requestid")
        or _headers(exc).get("x-amz-request-id")
    )
    return found if isinstance(found, str) else None


def _retry_after(headers: dict[str, str]) -> float | None:
    """Seconds to wait: `x-amz-retry-after` counts milliseconds, `retry-after` seconds or names a date."""
    milliseconds = _positive(headers.get("x-amz-retry-after"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _positive(value)
    return _seconds_between(headers.get("date"), value) if seconds is None else seconds


def _positive(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _seconds_between(now: str | None, then: str | None) -> float | None:
    """Between two HTTP dates: the answer's own `Date` is the clock, so that a wrong one of ours does no harm."""
    if not now or not then:
        return None
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, (parsedate_to_datetime(then) - parsedate_to_datetime(now)).total_seconds())
    except (TypeError, ValueError):
        return None


def _cause(exc: BaseException) -> BaseException | None:
    """What `exc` was raised from; what it was raised beside only where a library did so without saying."""
    if exc.__cause__ is not None or exc.__suppress_context__:
        return exc.__cause__
    return exc.__context__ if was_raised_in(exc, TRANSPORT_MODULES) else None


# --- advice -----------------------------------------------------------------------------------------------------------


def _credential_service(exc: BaseException) -> str | None:
    """Who failed, where it was not Bedrock: the operation of a ClientError or the endpoint of a broken connection."""
    operation = _CREDENTIAL_OPERATIONS.get(getattr(exc, "operation_name", None) or "")
    if operation:
        return operation[0]
    host = str(_keywords(exc).get("endpoint_url") or "").partition("://")[2].lower()
    return next((service for beginning, service in _CREDENTIAL_HOSTS if host.startswith(beginning)), None)


def _keywords(exc: BaseException) -> dict[str, Any]:
    """What botocore put into the text of its exception, by name."""
    keywords = getattr(exc, "kwargs", None)
    return keywords if isinstance(keywords, dict) else {}


def _filled(advice: str, exc: BaseException) -> str:
    """The advice with the names that belong in it; never anything from the exception's text, which may hold a secret."""
    if "{" not in advice:
        return advice
    from shlex import quote

    keywords = _keywords(exc)
    profile = str(keywords.get("profile") or getattr(exc, "aws_profile", None) or "")
    available = ", ".join(getattr(exc, "available_profiles", None) or ())
    names = {
        "profile": profile,
        "profile_option": f" --profile {quote(profile)}" if profile else "",
        "of_profile": f" of profile {profile}" if profile else "",
        "missing": keywords.get("cred_var", "one of them"),
        "available": f" There are: {available}." if available else "",
        **_ADVICE_PARTS,
    }
    retrieval = _RETRIEVALS.get(str(keywords.get("provider")), _RETRIEVALS["custom-process"])
    return advice.format(**names, retrieval=retrieval.format(**names))
