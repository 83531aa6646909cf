"""The mirror.conf that `frumious init` writes: the common options with their purposes.

docs/configuration.md describes all options.
"""

from __future__ import annotations

from typing import Final

TEMPLATE: Final = """\
; What to mirror, from where and into which storage. Lines that begin with a semicolon are comments.
; A commented option shows its default. A % needs no escape.

[mirror]

; --- Storage -----------------------------------------------------------------------------------

; A folder of this machine. Let a web server serve only its web/.
storage-backend = filesystem
directory = /srv/pypi

; Or a bucket; see [s3] below.
;storage-backend = s3
;directory = /bucket/prefix

; Or a container; see [swift] below.
;storage-backend = swift
;directory = /prefix

; --- Upstream ----------------------------------------------------------------------------------

; How PyPI's administrators can reach you if your mirror causes problems; part of the User-Agent.
;contact =

; Another index than PyPI, and the hosts of its files if they differ.
;master = https://upstream.example
;allowed-hosts = files.upstream.example
;allow-non-https = false
;proxy = http://proxy.example:3128

; The first source of files; upstream is the second.
;download-mirror =

; Files that are transferred at the same time (1 to 10); the limit in seconds to connect and
; between two reads; the limit for a whole download.
;workers = 3
;timeout = 10
;global-timeout = 1800

; --- Content -----------------------------------------------------------------------------------

;release-files = true
;core-metadata = true
;json = false

; Project pages in folders by first letter: simple/n/numpy/. The web server must support it.
;hash-index = false

; The base of absolute URLs of files in the pages; without it they are relative.
;root_uri =

; --- Runs --------------------------------------------------------------------------------------

; How changes are found: auto, changelog, index or names.
;discovery = auto

; Days in which each project is checked once, to find changes without an event; 0: never.
;sweep-days = 30

; A run that would remove more projects needs confirmation: a share of the mirror and a number; the
; larger one counts.
;max-removals = 5% 10

;stop-on-error = false

; A list of the files that each run wrote, one path per line, and next to it a list of removed ones.
;diff-file = {{mirror_directory}}/mirrored-files
;diff-append-epoch = false

; For logging.config.fileConfig.
;log-config =

; --- Projects ----------------------------------------------------------------------------------
; Without an allowlist all of PyPI is mirrored: some 740,000 projects and tens of terabytes.

[plugins]
enabled =
    allowlist_project
    allowlist_release

[allowlist]
; Names with optional version specifiers: numpy>=2
packages =
    sampleproject

;[blocklist]
;packages =
;    example1
;    example2<2

; --- Access to a bucket; boto3 determines what is not set ----------------------------------------

;[s3]
;region_name = eu-central-1
;endpoint_url =
;aws_access_key_id =
;aws_secret_access_key =
;profile_name =
;role_arn =
; A parameter of every operation that accepts it:
;config_param_ServerSideEncryption = aws:kms

; --- Access to a container; the OS_... variables set what is not set here ------------------------

;[swift]
;default_container = bandersnatch
;auth_url =
;username =
;password =
;project_name =
; Make the container public, with an index document:
;publish = false
"""
