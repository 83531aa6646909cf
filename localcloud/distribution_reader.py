"""Parser of the template's distribution, with its origins, functions and policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcloud.stack import Behavior, CachePolicy, Distribution, OriginGroup
from localcloud.template import TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from localcloud.section import Section

GROUP_SIZE = 2  # "Origin failover" in the CloudFront developer guide
NONE = {"Quantity": 0, "Items": []}


class DistributionReader:
    """Parses distributions; `properties` returns the resolved ones of a resource."""

    def __init__(self, properties: Callable[[str], Section]) -> None:
        self._properties = properties

    def read(self, logical_id: str) -> Distribution:
        """Parse a distribution, and what it refers to."""
        properties = self._properties(logical_id)
        config = properties.section("DistributionConfig")
        properties.finish()
        config.ignore("Comment", "Enabled")
        config.skip("HttpVersion", "IPV6Enabled", "PriceClass")
        config.skip("Aliases", "ViewerCertificate", "WebACLId")
        buckets: set[str] = set()
        origin_paths: dict[str, str] = {}
        for members in config.require("Origins"):
            origin = config.of("Origins", members)
            origin.skip("OriginAccessControlId", "S3OriginConfig")
            buckets.add(origin.require("DomainName").partition(".s3.")[0])
            origin_paths[origin.require("Id")] = origin.take("OriginPath", "")
            origin.finish()
        if len(buckets) != 1:
            msg = f"the local stack supports origins in one bucket, not in {len(buckets)}"
            raise TemplateError(msg)
        groups = [
            _origin_group(config.of("OriginGroups", members), origin_paths)
            for members in _items(config.section("OriginGroups", default=NONE))
        ]
        targets = {id_: OriginGroup(id_, (id_,), frozenset()) for id_ in origin_paths}
        targets |= {group.id: group for group in groups}
        error_ttls: dict[int, int] = {}
        for members in config.take("CustomErrorResponses", []):
            error = config.of("CustomErrorResponses", members)
            error_ttls[int(error.require("ErrorCode"))] = int(error.require("ErrorCachingMinTTL"))
            error.finish()
        behaviors = [
            self._behavior(config.of("CacheBehaviors", members), targets)
            for members in config.take("CacheBehaviors", [])
        ]
        default = {"PathPattern": "*", **config.require("DefaultCacheBehavior")}
        behaviors.append(self._behavior(config.of("DefaultCacheBehavior", default), targets))
        config.finish()
        return Distribution(logical_id, buckets.pop(), origin_paths, tuple(behaviors), error_ttls)

    def _behavior(self, members: Section, targets: Mapping[str, OriginGroup]) -> Behavior:
        members.skip("ViewerProtocolPolicy", "Compress")
        pattern = members.require("PathPattern")
        origin = members.require("TargetOriginId")
        if origin not in targets:
            msg = (
                f"{members.where} has the target {origin!r}, which is neither an origin nor a group"
            )
            raise TemplateError(msg)
        if set(members.require("AllowedMethods")) != {"GET", "HEAD"}:
            msg = f"the local stack supports only GET and HEAD: {members.where}"
            raise TemplateError(msg)
        edge_code = key_value_store = None
        for association in members.take("FunctionAssociations", []):
            event = members.of("FunctionAssociations", association)
            if (kind := event.require("EventType")) != "viewer-request":
                msg = f"the local stack does not support the edge event {kind!r}"
                raise TemplateError(msg)
            edge_code, key_value_store = self._edge_function(event.require("FunctionARN"))
            event.finish()
        policy = members.take("ResponseHeadersPolicyId")
        cache_policy = self._cache_policy(members.require("CachePolicyId"))
        members.finish()
        headers = self._added_headers(policy) if policy else {}
        return Behavior(pattern, targets[origin], cache_policy, edge_code, key_value_store, headers)

    def _cache_policy(self, logical_id: str) -> CachePolicy:
        properties = self._properties(logical_id)
        config = properties.section("CachePolicyConfig")
        properties.finish()
        config.ignore("Name", "Comment")
        key = config.section("ParametersInCacheKeyAndForwardedToOrigin")
        by_encoding = key.require("EnableAcceptEncodingGzip")
        key.ignore("EnableAcceptEncodingBrotli")
        by_headers = key.section("HeadersConfig")
        headers = tuple(each.lower() for each in by_headers.take("Headers", []))
        if by_headers.require("HeaderBehavior") != ("whitelist" if headers else "none"):
            msg = (
                f"the local stack supports only listed headers in the cache key: {by_headers.where}"
            )
            raise TemplateError(msg)
        by_headers.finish()
        for name in ("Cookie", "QueryString"):
            part = key.section(f"{name}sConfig")
            if part.require(f"{name}Behavior") != "none":
                msg = f"the local stack supports no {name} in the cache key: {part.where}"
                raise TemplateError(msg)
            part.finish()
        key.finish()
        policy = CachePolicy(
            min_ttl=int(config.require("MinTTL")),
            default_ttl=int(config.require("DefaultTTL")),
            max_ttl=int(config.require("MaxTTL")),
            by_encoding=by_encoding,
            headers=headers,
        )
        config.finish()
        return policy

    def _edge_function(self, logical_id: str) -> tuple[str, str | None]:
        """Return the function's code and the ARN of its store."""
        properties = self._properties(logical_id)
        properties.ignore("Name", "AutoPublish")
        config = properties.section("FunctionConfig")
        config.ignore("Comment", "Runtime")
        stores = [s["KeyValueStoreARN"] for s in config.take("KeyValueStoreAssociations", [])]
        config.finish()
        code = properties.require("FunctionCode")
        properties.finish()
        return str(code), next(iter(stores), None)

    def _added_headers(self, logical_id: str) -> dict[str, str]:
        properties = self._properties(logical_id)
        config = properties.section("ResponseHeadersPolicyConfig")
        properties.finish()
        config.ignore("Name", "Comment")
        headers = {}
        custom = config.section("CustomHeadersConfig", default={"Items": []})
        for members in custom.require("Items"):
            item = custom.of("Items", members)
            headers[item.require("Header")] = item.require("Value")
            if item.require("Override") is not True:
                msg = f"the local stack supports only headers that override: {item.where}"
                raise TemplateError(msg)
            item.finish()
        custom.finish()
        security = config.section("SecurityHeadersConfig", default={})
        if security.take("ContentTypeOptions"):
            headers["X-Content-Type-Options"] = "nosniff"
        strict = security.section("StrictTransportSecurity")
        headers["Strict-Transport-Security"] = f"max-age={strict.require('AccessControlMaxAgeSec')}"
        strict.ignore("Override")
        strict.finish()
        security.finish()
        config.finish()
        return headers


def _origin_group(members: Section, origins: Container[str]) -> OriginGroup:
    id_ = members.require("Id")
    names = []
    listed = members.section("Members")
    for each in _items(listed):
        member = listed.of("Items", each)
        names.append(member.require("OriginId"))
        member.finish()
    if len(names) != GROUP_SIZE or not all(name in origins for name in names):
        msg = f"{members.where} has the members {names}, which are not two origins"
        raise TemplateError(msg)
    criteria = members.section("FailoverCriteria")
    statuses = frozenset(map(int, _items(criteria.section("StatusCodes"))))
    criteria.finish()
    members.finish()
    return OriginGroup(id_, tuple(names), statuses)


def _items(members: Section) -> list[Any]:
    """Return a list that CloudFormation has with its length."""
    items: list[Any] = members.require("Items")
    if int(members.require("Quantity")) != len(items):
        msg = f"{members.where} has a Quantity that is not the number of its Items"
        raise TemplateError(msg)
    members.finish()
    return items
