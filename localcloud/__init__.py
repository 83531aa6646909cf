"""The stack on this machine: `template.yaml`'s own wiring over moto.

It reads the template that is deployed, makes its bucket and queues in moto's server, runs the
real handlers in processes of their own through AWS's own runtime client, pumps the queue into
them and serves the bucket as the distribution does. It knows Lambda, SQS and CloudFront; of the
mirror it knows nothing but the handlers' answers.
"""

from localcloud.cloud import LocalCloud
from localcloud.environment import ExecutionEnvironment, Runtime
from localcloud.event_source import Pumped
from localcloud.logs import LogLine
from localcloud.runtime_api import FunctionFailed
from localcloud.template import TemplateError

__all__ = [
    "ExecutionEnvironment",
    "FunctionFailed",
    "LocalCloud",
    "LogLine",
    "Pumped",
    "Runtime",
    "TemplateError",
]
