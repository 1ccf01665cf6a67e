"""`Bedrock`: the road with a client in hand.

In come OpenAI messages and tools, out come completions and streams. An instance may be shared by threads: it holds a
settled configuration and one client cache, which is thread- and fork-safe; every call has its own accumulator.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Self

from ..aws import calls, clients
from ..aws.cache import ClientCache
from ..aws.credentials import Credentials, bearer_token, environment_digest, resolve_region
from ..aws.options import NO_OPTIONS, CallOptions, split_options
from ..aws.settings import CLIENT_VARIABLES, ClientSettings
from ..carriers import REMEMBERED
from ..chat import ChatStream, complete, telling_what_came
from ..errors import SettingsError
from ..models.profiles import profile_for
from ..notes import AnswerForm, CallNotes, noted, notes_of_request
from ..request.build import ConverseRequest, build_request
from ..request.media import forget_media
from ..request.memory import ConversationMemory
from ..response.frames import decoder_for
from ..values import changed, names_of
from .behind import base_model_of, is_profile
from .callbacks import Callbacks
from .hooks import Hook, Hooks

if TYPE_CHECKING:
    from types import TracebackType

    from ..response.completion import Completion
    from .completions import Chat
    from .models_list import Models

logger = logging.getLogger(__name__)

CREDENTIAL_ARGUMENTS = ("client", *names_of(Credentials))
"""Arguments that say whose calls they are."""


class Bedrock:
    """OpenAI chat completions on Amazon Bedrock, through boto3.

    All arguments are optional. Without credentials the AWS chain decides; `client` takes a boto3 client as it is, and
    `session` a boto3 or botocore session. `region` defaults to AWS_REGION, AWS_DEFAULT_REGION, the profile's region.
    Times are in seconds; `max_attempts` counts all attempts, botocore's and ours together. What is not given comes from
    the environment (`BEDROCK_*`), read when a client is built. Raises SettingsError for arguments that cannot be meant.
    `on_request`, `on_response` and `on_error` hear of every call: see `hooks.CallDetails`.
    """

    def __init__(
        self,
        region: str | None = None,
        *,
        profile: str | None = None,
        session: Any = None,
        client: Any = None,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        bearer_token: str | None = None,
        endpoint_url: str | None = None,
        connect_timeout: float | None = None,
        read_timeout: float | None = None,
        idle_timeout: float | None = None,
        max_attempts: int | None = None,
        max_connections: int | None = None,
        on_request: Hook | None = None,
        on_response: Hook | None = None,
        on_error: Hook | None = None,
    ) -> None:
        self._hooks = Hooks(on_request, on_response, on_error)
        self._region = region
        self._client = client
        self._credentials = Credentials(
            profile=profile,
            aws_access_key_id=aws_access_key_id,
            aws_secret_access_key=aws_secret_access_key,
            aws_session_token=aws_session_token,
            bearer_token=bearer_token,
            session=session,
        )
        self._arguments: dict[str, Any] = {
            "endpoint_url": endpoint_url,
            "connect_timeout": connect_timeout,
            "read_timeout": read_timeout,
            "idle_timeout": idle_timeout,
            "max_attempts": max_attempts,
            "max_connections": max_connections,
        }
        self._clients = ClientCache()
        self._memory = ConversationMemory()
        self._refuse_mixed_arguments()
        self._read: tuple[bytes, ClientSettings] | None = None
        self._settings_now()

    def _refuse_mixed_arguments(self) -> None:
        given = [name for name, value in self._arguments.items() if value is not None]
        if self._client is not None and (given or not self._credentials.is_ambient):
            raise SettingsError("client brings its own credentials and settings: give either client, or the others")

    def __repr__(self) -> str:
        return f"Bedrock(region={self._region!r}, {self._credentials!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @classmethod
    def from_config(cls, path: str | PathLike[str], backend: str | None = None, **arguments: Any) -> Bedrock:
        """The backend of a configuration file, by its name or the default one; it knows the file's models by name.

        `arguments` win over the file. See docs/configuration.md.
        """
        from .backends import from_config

        return from_config(path, backend, **arguments)

    @property
    def region(self) -> str:
        """The region that calls go to."""
        if self._client is not None:
            return str(self._client.meta.region_name)
        return resolve_region(self._region, credentials=self._credentials)

    @property
    def settings(self) -> ClientSettings | None:
        """What clients are built with now, from arguments and environment; None where a client was given."""
        return None if self._client is not None else self._settings_now()

    def _settings_now(self) -> ClientSettings:
        """Read anew once a variable that counts has changed: reading them all takes as long as converting a question."""
        variables = environment_digest(os.environ, CLIENT_VARIABLES)
        if self._read is None or self._read[0] != variables:
            self._read = (variables, ClientSettings.from_environment(**self._arguments))
        return self._read[1]

    @property
    def client(self) -> Any:
        """The guarded boto3 client that calls go through, built at first use."""
        return self._client_for(NO_OPTIONS)

    def _client_for(self, options: CallOptions) -> Any:
        """The client of a call, which waits for its building as long as it may: that may fetch credentials."""
        if self._client is not None:
            return self._client
        region, settings = self.region, self._settings_now()
        current = clients.fingerprint(self._credentials, settings)
        found = self._clients.valid(region, current)
        if found is not None:
            return found
        from ..aws.cancel import stop_if_given_up
        from ..aws.journey import waited_for

        def build() -> Any:
            stop_if_given_up()
            return clients.build_runtime_client(region, settings, self._credentials, decoder_for=decoder_for)

        return waited_for(lambda: self._clients.get_or_build(region, current, build), options)

    @property
    def control_client(self) -> Any:
        """The `bedrock` control-plane client of the region, for lists of models and profiles, built at first use."""
        return self._control_client_for(self.region)

    def _control_client_for(self, region: str) -> Any:
        settings = self._settings_now()
        client = self._clients.get_or_build(
            ("bedrock", region),
            clients.fingerprint(self._credentials, settings),
            lambda: clients.build_control_client(region, settings, self._credentials),
        )
        gateway = settings.endpoint_url is not None and not _is_of_aws(settings.endpoint_url)
        if gateway and bearer_token(self._credentials) and _is_of_aws(client.meta.endpoint_url):
            raise SettingsError(
                "a gateway's token is not sent to AWS: to list models, set AWS_ENDPOINT_URL_BEDROCK to where that is done"
            )
        return client

    @cached_property
    def chat(self) -> Chat:
        """`chat.completions.create(...)`, as `openai.OpenAI()` has it."""
        from .completions import Chat

        return Chat(self)

    @cached_property
    def models(self) -> Models:
        """`models.list()`, as `openai.OpenAI()` has it."""
        from .models_list import Models

        return Models(self)

    def with_options(self, **changes: Any) -> Self:
        """Another `Bedrock` like this one, with other arguments; it has connections of its own.

        Where a credential is among the changes, none of this one's stays: two callers' are never mixed.
        """
        kept = self._given()
        if any(changes.get(name) is not None for name in CREDENTIAL_ARGUMENTS):
            kept = {name: value for name, value in kept.items() if name not in CREDENTIAL_ARGUMENTS}
        return type(self)(**{**kept, **changes})

    def __reduce__(self) -> tuple[Callable[[], Self], tuple[()]]:
        """Copies and pickles are others like this one; who pickles credentials pickles them in the clear."""
        return partial(type(self), **self._given()), ()

    def _given(self) -> dict[str, Any]:
        credentials = {name: getattr(self._credentials, name) for name in names_of(Credentials)}
        hooks = {name: getattr(self._hooks, name) for name in names_of(Hooks)}
        return {"region": self._region, "client": self._client, **credentials, **self._arguments, **hooks}

    def close(self) -> None:
        """Close the connections that this instance opened, those of answers that are being read once these are read.

        It stays usable: the next call opens new ones. A client that was handed in is its owner's to close. What was
        remembered of conversations is forgotten, and so are the media that this process has sent lately.
        """
        self._clients.close()
        self._memory = ConversationMemory()
        forget_media()

    def prewarm(self) -> threading.Thread:
        """Build the client, fetch its credentials and open a connection, in a background thread.

        The thread is returned for those who want to wait for it. What fails is only logged: the first call meets it,
        too, and raises it.
        """
        thread = threading.Thread(target=self._warm_up, name="bedrock-prewarm", daemon=True)
        thread.start()
        return thread

    def _warm_up(self) -> None:
        from ..aws.prewarm import warm_up

        try:
            warm_up(self.client)
        except Exception as error:  # noqa: BLE001 - nobody waits for it; the first call will say it to the caller
            logger.debug("region=%s error=%s | prewarming failed", self._region, type(error).__name__)

    def complete(
        self, /, model: str, messages: Sequence[Any], tools: Sequence[Any] | None = None, **options: Any
    ) -> Completion:
        """The whole answer as an OpenAI-shaped completion.

        `options` are those of `request.build.build_request`, and for the call itself `deadline`, `connect_timeout`,
        `read_timeout`, `max_attempts`, `fallbacks`, `cancel` and `on_interrupt_check`: see `aws.options.CallOptions`.

        Raises InvalidRequestError before anything is sent, botocore's own exceptions for what the service refuses, and
        our own errors for answers that are incomplete, late or given up; see `agent.bedrock.errors`.
        """
        with self._hooks.call(model) as call:
            kwargs = self._kwargs(model, messages, tools, options)
            client, notes = self._client_for(_options_of(kwargs)), notes_of_request(kwargs)
            with telling_what_came(notes):
                answer = calls.converse(client, kwargs)
            return call.ended(complete(answer, notes), answer)

    def stream(
        self,
        /,
        model: str,
        messages: Sequence[Any],
        tools: Sequence[Any] | None = None,
        *,
        on_text_delta: Callable[[str], Any] | None = None,
        on_tool_start: Callable[[str], Any] | None = None,
        on_tool_arguments_delta: Callable[[int, str], Any] | None = None,
        on_reasoning_delta: Callable[[str], Any] | None = None,
        on_event: Callable[[], Any] | None = None,
        on_interrupt_check: Callable[[], Any] | None = None,
        on_restart: Callable[[int, str], Any] | None = None,
        whole: bool = False,
        **options: Any,
    ) -> ChatStream:
        """The answer as it comes: a `ChatStream`, opened when this returns; callbacks fire as it is read.

        With `whole` the service is asked for a whole answer, which is told as a stream: for those that do not stream.
        `options` are those of `complete`, and `resume`. Where they end the call before the stream is open, this raises.
        """
        asked = {**options, "on_interrupt_check": on_interrupt_check}
        watch = Callbacks(
            on_text_delta=on_text_delta,
            on_tool_start=on_tool_start,
            on_tool_arguments_delta=on_tool_arguments_delta,
            on_reasoning_delta=on_reasoning_delta,
            on_event=on_event,
            on_interrupt_check=_interrupt_check(asked),
            on_restart=on_restart,
        ).watch()
        with self._hooks.call(model, stream=True) as call:
            kwargs = self._kwargs(model, messages, tools, asked)
            client, notes = self._client_for(_options_of(kwargs)), notes_of_request(kwargs)
            with telling_what_came(notes):
                answer = (calls.open_whole if whole else calls.open_stream)(client, kwargs)
            return call.followed(ChatStream(answer, notes, watch=watch), answer)

    def _kwargs(
        self, model: str, messages: Sequence[Any], tools: Sequence[Any] | None, options: dict[str, Any]
    ) -> dict[str, Any]:
        """The request, and on it the notes with what is asked of the call."""
        asked, about = split_options(options)
        about.setdefault("reasoning_store", REMEMBERED)
        if not asked:
            return with_notes(
                model, build_request(model, messages, tools, memory=self._memory, **self._knowing(model, about))
            )
        self._warn_if_nobody_obeys(asked)
        from ..aws.pace import current_pace

        call_options = CallOptions(**asked, began=current_pace().now())
        elsewhere = {name: value for name, value in about.items() if name != "base_model"}

        def build(model: str, about: dict[str, Any]) -> dict[str, Any]:
            known = self._knowing(model, about, call_options)
            request = build_request(model, messages, tools, memory=self._memory, **known)
            prefill = _can_be_continued(model, request, known.get("base_model"))
            request_for = partial(build, about=elsewhere)
            return with_notes(model, request, changed(call_options, prefill=prefill, request_for=request_for))

        return build(model, about)

    def _warn_if_nobody_obeys(self, asked: dict[str, Any]) -> None:
        """Say that a client which was handed in, and is not guarded, knows nothing of the options of a call."""
        unheard = sorted(asked.keys() - {"on_interrupt_check"})  # the stream itself asks that, too
        if unheard and self._client is not None and not hasattr(self._client.converse, "__wrapped__"):
            logger.warning("options=%s | not obeyed: the client was not built by this package", ", ".join(unheard))

    def _knowing(self, model: str, options: dict[str, Any], call_options: CallOptions = NO_OPTIONS) -> dict[str, Any]:
        """The options with the model behind an inference profile, where that can be found out in time."""
        if options.get("base_model") is not None or self._client is not None or not is_profile(model):
            return options  # whose control plane to ask is not known of a client that was handed in
        from ..aws.journey import waited_for

        base_model = waited_for(lambda: base_model_of(model, self._control_client_for), call_options)
        return options if base_model is None else {**options, "base_model": base_model}


def _options_of(kwargs: dict[str, Any]) -> CallOptions:
    options: CallOptions | None = notes_of_request(kwargs).options
    return options or NO_OPTIONS


def _is_of_aws(url: str) -> bool:
    from urllib.parse import urlsplit

    return (urlsplit(url).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))


def notes_of(
    model: str, request: ConverseRequest, options: CallOptions | None = None, reasoning_store: Any = None
) -> CallNotes:
    """What the answer to this request has to know."""
    repairs = tuple(
        {"step": repair.step, "message": repair.message, "detail": repair.detail} for repair in request.repairs
    )
    form = _answer_form(request)
    return CallNotes(model, request.tool_names, repairs, form, options, reasoning_store=reasoning_store)


def _answer_form(request: ConverseRequest) -> AnswerForm | None:
    plan = request.structured
    return None if plan is None else AnswerForm(plan.mode, plan.schema, plan.tool_name, plan.wrapped)


def with_notes(model: str, request: ConverseRequest, options: CallOptions | None = None) -> dict[str, Any]:
    """The request's kwargs with the notes riding on them."""
    notes = notes_of(model, request, options, request.reasoning_store)
    return {**request.kwargs, "messages": noted(request.kwargs["messages"], notes)}


def _can_be_continued(model: str, request: ConverseRequest, base_model: str | None) -> bool:
    """Whether the model goes on with an answer that it finds begun; while it thinks, none does."""
    fields = request.kwargs.get("additionalModelRequestFields") or {}
    return profile_for(model, base_model).prefill and "thinking" not in fields


def _interrupt_check(options: dict[str, Any]) -> Callable[[], Any] | None:
    """Whether to end a stream that is being read: by the token or by the callback."""
    cancel, check = options.get("cancel"), options.get("on_interrupt_check")
    return check if cancel is None else CallOptions(cancel=cancel, on_interrupt_check=check).interrupt_check
