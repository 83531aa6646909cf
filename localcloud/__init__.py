"""The local stack: an emulation of the deployed stack on this machine, on top of moto.

It reads the deployed template, creates its bucket and queues in moto's server, runs the real
handlers in separate processes with AWS's runtime client, delivers the queue's messages to them,
and serves the bucket like the distribution. It evaluates the alarms of the template. It knows
Lambda, SQS, CloudWatch and CloudFront; of the mirror it knows only the handlers' responses.
"""

from localcloud.cloud import LocalCloud
from localcloud.environment import ExecutionEnvironment, Runtime
from localcloud.event_source import PumpResult
from localcloud.logs import LogLine
from localcloud.runtime_api import FunctionFailed
from localcloud.template import TemplateError

__all__ = [
    "ExecutionEnvironment",
    "FunctionFailed",
    "LocalCloud",
    "LogLine",
    "PumpResult",
    "Runtime",
    "TemplateError",
]
