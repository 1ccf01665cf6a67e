"""The AWS wing: everything that touches AWS; boto3 and botocore are imported here only, and at call time."""
