"""The mirror.conf that `frumious init` writes: every option that most people need, with its reason.

docs/configuration.md has all of them.
"""

from __future__ import annotations

from typing import Final

TEMPLATE: Final = """\
; What is mirrored, from where and into what. Lines that begin with a semicolon are comments; an
; option without a line has the value that its comment shows. A % is just a %.

[mirror]

; --- Where the mirror lies ---------------------------------------------------------------------

; A folder of this machine, for a web server to serve: its web/ and nothing else.
storage-backend = filesystem
directory = /srv/pypi

; Or a bucket, with [s3] below.
;storage-backend = s3
;directory = /bucket/prefix

; Or a container, with [swift] below.
;storage-backend = swift
;directory = /prefix

; --- Where it comes from -----------------------------------------------------------------------

; How PyPI's people reach you when your mirror troubles them; it goes into the User-Agent.
;contact =

; Another index than PyPI, and the hosts of its files where they are others.
;master = https://upstream.example
;allowed-hosts = files.upstream.example
;allow-non-https = false
;proxy = http://proxy.example:3128

; Files come from here first, and from upstream where they are not to be had.
;download-mirror =

; Files under way at the same time (1 to 10), seconds to connect and between two reads, and for
; one whole transfer.
;workers = 3
;timeout = 10
;global-timeout = 1800

; --- What is kept ------------------------------------------------------------------------------

;release-files = true
;core-metadata = true
;json = false

; Project pages below their first letter: simple/n/numpy/. The web server has to know.
;hash-index = false

; Addresses of files in the pages are relative, or begin with this one.
;root_uri =

; --- How a run goes ----------------------------------------------------------------------------

; How changes are found: auto, changelog, index or names.
;discovery = auto

; In how many days each project is asked for once, for what changes without an event; 0: never.
;sweep-days = 30

; A run that would remove more projects does not start until somebody confirms it: a share of the
; mirror and a number, of which the larger counts.
;max-removals = 5% 10

;stop-on-error = false

; A list of what each run wrote, one path a line, and beside it what it removed.
;diff-file = {{mirror_directory}}/mirrored-files
;diff-append-epoch = false

; For logging.config.fileConfig.
;log-config =

; --- Which projects ----------------------------------------------------------------------------
; Without an allowlist it is all of PyPI: some 740,000 projects and tens of terabytes.

[plugins]
enabled =
    allowlist_project
    allowlist_release

[allowlist]
; Names, and versions where not all are wanted: numpy>=2
packages =
    sampleproject

;[blocklist]
;packages =
;    example1
;    example2<2

; --- Access to a bucket: what is missing is found as boto3 finds it ------------------------------

;[s3]
;region_name = eu-central-1
;endpoint_url =
;aws_access_key_id =
;aws_secret_access_key =
;profile_name =
;role_arn =
; A parameter of every call that knows it:
;config_param_ServerSideEncryption = aws:kms

; --- Access to a container: what is missing comes from the environment's OS_... ------------------

;[swift]
;default_container = bandersnatch
;auth_url =
;username =
;password =
;project_name =
; Let everybody read it, with an index document:
;publish = false
"""
