#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fz-devportal end to end: every dialogue of a client, a gateway and a relay, and every knob of `ctl`.
Usage: smoke.py PROGRAM [TEST...]"""
import base64, hashlib, hmac, json, os, re, socket, subprocess, sys, tempfile, time, unittest

from wsclient import Device, Portal, Refused, get, key

PROGRAM = None
UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
CONFIG = {
    "settings": {"relay_debounce_ms": 50, "search_domain": "corp.example",
                 "upstream_do53": ["192.0.2.53", "2001:db8::53"]},
    "sites": ["HQ", "Branch"],
    "devices": [
        {"role": "gateway", "name": "gw1", "site": "HQ", "external_id": "gw-1", "token": "gt", "ipv4": "100.64.0.1",
         "ipv6": "fd00:2021:1111::1"},
        {"role": "client", "name": "cl1", "external_id": "cl-1", "token": "ct"},
        {"role": "client", "name": "cl2", "external_id": "3f8f4b58-6a0c-4d0e-9b0e-2b6f3f2a9d11", "token": "ct2",
         "hostname": "bob.laptops.corp.example"},
    ],
    "tokens": [{"role": "relay", "token": "rt"}, {"role": "client", "token": "any"},
               {"role": "gateway", "token": "gany", "site": "Branch"}],
    "resources": [
        {"type": "cidr", "name": "Lab", "address": "10.20.0.0/16", "site": "HQ"},
        {"type": "dns", "name": "Web", "address": "web.corp.example", "site": "HQ"},
        {"type": "ip", "name": "One", "address": "10.21.0.9", "site": "Branch"},
        {"type": "static_device_pool", "name": "Pool", "devices": ["cl2"]},
        {"type": "dynamic_device_pool", "name": "Dyn", "address": "*.laptops.corp.example"},
    ],
    "relays": [{"name": "r1", "mode": "coturn", "addrs": ["203.0.113.101:3478", "[2001:db8:113::101]:3478"],
                "secret": "s1"}],
}


def ids(init):
    return {r["name"]: r["id"] for r in init["resources"]}


class Portals(unittest.TestCase):
    def setUp(self):
        self.portal = Portal(PROGRAM, CONFIG)
        self.open = []

    def tearDown(self):
        for device in self.open:
            device.close()
        self.portal.stop()

    def device(self, *args, **kwargs):
        device = Device(self.portal.port, *args, **kwargs)
        self.open.append(device)
        return device

    def gateway(self, **kwargs):
        return self.device("gateway", "gt", "gw-1", key(2), **kwargs)

    def client(self, **kwargs):
        return self.device("client", "ct", "cl-1", key(1), **kwargs)

    def http(self, *args):
        status, headers, body, connection, _ = get(self.portal.port, *args)
        connection.close()
        return status, headers, body

    def authorize(self, client, gateway, resource_id):
        client.send("request_authorization", {"resource_id": resource_id, "connected_gateway_ids": []})
        request = gateway.wait("create_authorization")
        self.assertEqual(gateway.ask("authorization_created", {"ref": request["ref"]}), ("ok", {}))
        return request, client.wait("authorization_created")

    # ---- connect and join ----

    def test_join_and_init(self):
        gateway, client = self.gateway(), self.client()
        self.assertEqual(gateway.init["interface"], {"ipv4": "100.64.0.1", "ipv6": "fd00:2021:1111::1"})
        self.assertEqual(gateway.init["config"], {"ipv4_masquerade_enabled": True, "ipv6_masquerade_enabled": True})
        self.assertEqual(gateway.init["authorizations"], [])
        self.assertEqual(client.init["interface"], {
            "ipv4": "100.64.0.2", "ipv6": "fd00:2021:1111::2", "search_domain": "corp.example",
            "upstream_do53": [{"ip": "192.0.2.53"}, {"ip": "2001:db8::53"}], "upstream_doh": [],
            "upstream_dns": [{"protocol": "ip_port", "address": "192.0.2.53:53"},
                             {"protocol": "ip_port", "address": "[2001:db8::53]:53"}]})
        for init in gateway.init, client.init:
            self.assertEqual(set(init["flow_logs"]), {"api_url", "upload_interval_secs", "upload_batch_size"})
            self.assertEqual([r["addr"] for r in init["relays"]], ["203.0.113.101:3478", "[2001:db8:113::101]:3478"])
            for relay in init["relays"]:
                mac = base64.b64encode(hmac.new(b"s1", relay["username"].encode(), hashlib.sha1).digest()).decode()
                self.assertEqual((relay["type"], relay["password"]), ("turn", mac))
                self.assertEqual(relay["expires_at"], 2145916800)
        by_name = {r["name"]: r for r in client.init["resources"]}
        self.assertEqual(by_name["One"]["type"], "cidr")
        self.assertEqual(by_name["One"]["address"], "10.21.0.9/32")
        self.assertEqual(by_name["Web"]["ip_stack"], "dual")
        self.assertEqual(by_name["Lab"]["filters"], [])
        self.assertEqual([s["name"] for s in by_name["Lab"]["sites"]], ["HQ"])
        self.assertEqual(by_name["Pool"]["devices"][0]["ipv4"], "100.64.0.3/32")
        for r in client.init["resources"]:
            self.assertRegex(r["id"], UUID)
        self.assertEqual(client.ask("heartbeat", {}, topic="phoenix"), ("ok", {}))
        self.assertEqual(client.ask("nonsense", {}), ("error", {"reason": "unknown_message"}))
        self.assertEqual(client.ask("create_flow", {"resource_id": "x"}), ("error", {"reason": "unknown_message"}))
        self.assertEqual(client.ask("phx_join", None, topic="gateway"), ("error", {"reason": "unmatched topic"}))

    def test_refusals(self):
        def refused(*args, **kwargs):
            with self.assertRaises(Refused) as caught:
                self.device(*args, **kwargs)
            return caught.exception
        missing = refused("client", None, "cl-1", key(1))
        self.assertEqual((missing.status, missing.code), (401, "missing_token"))
        self.assertTrue(missing.headers["content-type"].startswith("application/problem+json"))
        bad = refused("client", "wrong", "cl-1", key(1))
        self.assertEqual((bad.status, bad.code), (401, "invalid_token"))
        self.assertEqual(refused("client", "gt", "cl-1", key(1)).code, "invalid_token")
        nothing = refused("client", "ct")
        self.assertEqual((nothing.status, nothing.code), (400, "invalid_connect_params"))
        self.assertEqual(json.loads(nothing.body)["detail"], "public_key can't be blank; external_id can't be blank")
        self.assertIn("44 character", json.loads(refused("client", "ct", "cl-1", "short").body)["detail"])
        agent = refused("client", "ct", "cl-1", key(1), agent="curl/8.0.0")
        self.assertEqual(json.loads(agent.body)["detail"], "user_agent is invalid")
        self.gateway()
        self.assertEqual(refused("gateway", "gt", "gw-1", key(2)).code, "gateway_already_connected")
        self.assertEqual(refused("relay", "rt").status, 500)
        self.assertEqual(self.http("/nothing")[0], 404)

    def test_token_as_parameter(self):
        device = self.device("client", None, "cl-1", key(1), extra={"token": "ct"})
        self.assertEqual(device.init["interface"]["ipv4"], "100.64.0.2")

    def test_header_names_have_no_case(self):
        self.device("client", "ct", "cl-1", key(1), header="X-Authorization")
        with self.assertRaises(Refused) as caught:
            self.device("client", "ct", "cl-1", key(1), header="Authorization")
        self.assertEqual(caught.exception.code, "missing_token")

    def test_expiry(self):
        self.portal.ctl("expire-token", "cl1", "in=60")
        client = self.client()
        end = client.init["relays"][0]["expires_at"]
        self.assertLess(abs(end - time.time() - 60), 5)
        self.assertEqual(client.init["relays"][0]["username"].split(":")[0], str(end))
        self.portal.ctl("expire-token", "cl1")
        self.assertEqual(client.wait("disconnect"), {"reason": "token_expired"})
        with self.assertRaises(Refused) as caught:
            self.client()
        self.assertEqual(caught.exception.code, "invalid_token")

    def test_silence_is_ended(self):
        self.portal.ctl("set", "idle_timeout_s=1")
        started = time.monotonic()
        self.assertEqual(self.client().ended(), 1002)
        self.assertGreater(time.monotonic() - started, 0.9)

    def test_fail_next(self):
        self.portal.ctl("fail-next", "status=503", "retry-after=2", "role=client")
        self.portal.ctl("fail-next", "status=401", "code=invalid_token", "content-type=text/plain", "role=client")
        self.gateway()
        with self.assertRaises(Refused) as caught:
            self.client()
        self.assertEqual((caught.exception.status, caught.exception.headers["retry-after"]), (503, "2"))
        with self.assertRaises(Refused) as caught:
            self.client()
        self.assertEqual((caught.exception.status, caught.exception.headers["content-type"]), (401, "text/plain"))
        self.client()

    def test_fail_join(self):
        self.portal.ctl("fail-join", "reason=disabled", "role=client")
        client = self.client(join=False)
        self.assertEqual(client.ask("phx_join", None), ("error", {"reason": "disabled"}))
        self.assertEqual(client.ask("phx_join", None), ("ok", {}))

    def test_connects_can_hang(self):
        self.portal.ctl("pause", "connects")
        waiting = socket.create_connection(("127.0.0.1", self.portal.port))
        waiting.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        waiting.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            waiting.recv(1)
        self.portal.ctl("resume", "connects")
        waiting.settimeout(10)
        self.assertTrue(waiting.recv(100).startswith(b"HTTP/1.1 200"))
        waiting.close()

    def test_rate_limit(self):
        self.portal.ctl("set", "rate_limit=true")
        self.client()
        with self.assertRaises(Refused) as caught:
            self.client()
        self.assertEqual((caught.exception.status, caught.exception.code), (503, "rate_limit"))
        self.assertEqual(caught.exception.headers["retry-after"], "1")

    def test_newest_client_wins(self):
        first, second = self.client(), self.client()
        self.assertEqual(first.wait("disconnect"), {"reason": "token_expired"})
        self.assertEqual(first.wait("phx_close"), {})
        second.silent()
        self.assertTrue([s for s in self.portal.ctl("state")["sessions"] if s["joined"]])

    def test_hashed_device_id_and_unknown_devices(self):
        hashed = "e60b3d650541f9547c3a4b1edd613723a0bef9a61ef042739ce9fc16c6401f75"
        known = self.device("client", "ct2", hashed, key(3))
        self.assertEqual(known.init["interface"]["ipv4"], "100.64.0.3")
        fresh = self.device("client", "any", "somebody new+1", key(4))
        address = fresh.init["interface"]["ipv4"]
        fresh.close()
        again = self.device("client", "any", "somebody new+1", key(4))
        self.assertEqual(again.init["interface"]["ipv4"], address)
        row = [d for d in self.portal.ctl("state")["devices"] if d["external_id"] == "somebody new+1"]
        self.assertEqual(len(row), 1)

    def test_malformed_frames(self):
        client = self.client()
        client.send_text('{"topic":"client","event":"x","payload":{}}')
        self.assertEqual(client.ended(), 1011)
        client = self.client()
        client.send_text("no json")
        self.assertEqual(client.ended(), 1011)
        client = self.client()
        client.send("request_authorization", {"resource_id": "no uuid", "connected_gateway_ids": []})
        self.assertEqual(client.wait("phx_error"), {"reason": "channel_crash"})
        self.assertEqual(client.ended(), 1012)

    # ---- authorization ----

    def test_authorization_and_candidates(self):
        gateway, client = self.gateway(), self.client()
        lab = ids(client.init)["Lab"]
        request, answer = self.authorize(client, gateway, lab)
        self.assertEqual(request["resource"], {"type": "cidr", "id": lab, "name": "Lab", "address": "10.20.0.0/16",
                                               "filters": []})
        self.assertEqual(request["client"]["public_key"], key(1))
        self.assertEqual(request["client"]["version"], "1.5.12")
        self.assertEqual(answer["gateway_public_key"], key(2))
        self.assertEqual(answer["preshared_key"], request["client"]["preshared_key"])
        self.assertEqual(len(base64.b64decode(answer["preshared_key"])), 32)
        for side in "client_ice_credentials", "gateway_ice_credentials":
            self.assertEqual(answer[side], request[side])
            self.assertEqual((len(answer[side]["username"]), len(answer[side]["password"])), (4, 22))
        self.assertFalse(answer["use_iceless"])
        self.assertEqual((answer["gateway_ipv4"], answer["gateway_ipv6"]), ("100.64.0.1", "fd00:2021:1111::1"))
        self.assertGreater(request["expires_at"], time.time())
        for token, role in (answer["flow_logs_ingest_token"], "initiator"), (request["flow_logs_ingest_token"], "responder"):
            head, body, signature = token.split(".")
            claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            self.assertEqual(claims["role"], role)
            want = hmac.new(b"dev", f"{head}.{body}".encode(), hashlib.sha256).digest()
            self.assertEqual(signature, base64.urlsafe_b64encode(want).decode().rstrip("="))
            for name in ("account_id initiator_device_id responder_device_id policy_authorization_id policy_id resource_id "
                         "resource_name initiator_actor_id initiator_actor_name authorized_at authorization_expires_at"
                         ).split():
                self.assertIsInstance(claims[name], str, name)
        gw_id, cl_id = answer["gateway_id"], request["client"]["id"]
        gateway.send("broadcast_ice_candidates", {"client_ids": [cl_id], "candidates": ["candidate:1", "candidate:2"]})
        self.assertEqual(client.wait("ice_candidates"), {"gateway_id": gw_id, "candidates": ["candidate:1", "candidate:2"]})
        client.send("new_gateway_ice_candidates", {"gateway_id": gw_id, "candidates": ["candidate:3"]})
        self.assertEqual(gateway.wait("ice_candidates"), {"client_id": cl_id, "candidates": ["candidate:3"]})
        gateway.send("broadcast_invalidated_ice_candidates", {"client_ids": [cl_id], "candidates": ["candidate:1"]})
        self.assertEqual(client.wait("invalidate_ice_candidates"), {"gateway_id": gw_id, "candidates": ["candidate:1"]})
        client.send("invalidate_gateway_ice_candidates", {"gateway_id": gw_id, "candidates": ["candidate:3"]})
        self.assertEqual(gateway.wait("invalidate_ice_candidates"), {"client_id": cl_id, "candidates": ["candidate:3"]})
        # The same keys give the same connection, whatever the resource.
        _, again = self.authorize(client, gateway, ids(client.init)["Web"])
        for same in "preshared_key", "client_ice_credentials", "gateway_ice_credentials", "gateway_id":
            self.assertEqual(again[same], answer[same])
        self.assertEqual(gateway.ask("authorization_created", {"ref": "nonsense"}), ("error", {"reason": "invalid_ref"}))

    def test_grants_survive_the_gateway(self):
        gateway, client = self.gateway(), self.client()
        request, _ = self.authorize(client, gateway, ids(client.init)["Lab"])
        gateway.close()
        self.portal_offline("gw1")
        gateway = self.gateway()
        self.assertEqual(gateway.init["authorizations"], [{
            "client_id": request["client"]["id"], "resource_id": request["resource"]["id"],
            "expires_at": request["expires_at"]}])

    def portal_offline(self, name):
        until = time.monotonic() + 10
        while any(s["name"] == name and s["joined"] for s in self.portal.ctl("state")["sessions"]):
            self.assertLess(time.monotonic(), until)

    def test_failures(self):
        client = self.client()
        lab = ids(client.init)["Lab"]

        def fails(resource_id, reason):
            client.send("request_authorization", {"resource_id": resource_id, "connected_gateway_ids": []})
            self.assertEqual(client.wait("authorization_creation_failed"),
                             {"resource_id": resource_id, "reason": reason})
        fails("00000000-0000-4000-8000-000000000000", "not_found")
        fails(lab, "offline")
        web = ids(client.init)["Web"]
        self.portal.ctl("update-resource", "Web", 'deny={"reason":"forbidden","violated_properties":["remote_ip"]}')
        client.send("request_authorization", {"resource_id": web, "connected_gateway_ids": []})
        self.assertEqual(client.wait("authorization_creation_failed"), {
            "resource_id": web, "reason": "forbidden", "violated_properties": ["remote_ip"]})
        old = self.device("gateway", "gt", "gw-1", key(2), agent="Debian/12.0.0 gateway/1.3.0 (x86_64)")
        fails(lab, "version_mismatch")
        old.close()
        self.portal_offline("gw1")
        gateway = self.gateway()
        self.portal.ctl("set", "authorization_timeout_ms=300")
        started = time.monotonic()
        client.send("request_authorization", {"resource_id": lab, "connected_gateway_ids": []})
        request = gateway.wait("create_authorization")
        self.assertEqual(client.wait("authorization_creation_failed"), {"resource_id": lab, "reason": "offline"})
        self.assertGreater(time.monotonic() - started, 0.25)
        self.assertEqual(gateway.ask("authorization_created", {"ref": request["ref"]}), ("ok", {}))
        client.silent()
        self.portal.ctl("set", "authorization_timeout_ms=15000")
        self.portal.ctl("pause")
        client.send("request_authorization", {"resource_id": lab, "connected_gateway_ids": []})
        gateway.silent()
        self.portal.ctl("resume")
        self.authorize(client, gateway, lab)

    def test_iceless(self):
        self.portal.ctl("set", "iceless=true")
        gateway, client = self.gateway(), self.client()
        gateway.send("set_snownet_capabilities", {"iceless": True})
        request, answer = self.authorize(client, gateway, ids(client.init)["Lab"])
        self.assertEqual((request["use_iceless"], answer["use_iceless"]), (False, False))
        client.send("set_snownet_capabilities", {"iceless": True})
        request, answer = self.authorize(client, gateway, ids(client.init)["Lab"])
        self.assertEqual((request["use_iceless"], answer["use_iceless"]), (True, True))

    def test_old_sockets(self):
        gateway, client = self.gateway(v1=True), self.client(v1=True, agent="Debian/12.0.0 headless-client/1.5.4 (x86_64)")
        by_name = {r["name"]: r for r in client.init["resources"]}
        self.assertNotIn("Pool", by_name)
        self.assertIn("gateway_groups", by_name["Lab"])
        self.assertNotIn("sites", by_name["Lab"])
        client.send("create_flow", {"resource_id": by_name["Lab"]["id"], "connected_gateway_ids": []})
        request = gateway.wait("authorize_flow")
        self.assertEqual(gateway.ask("authorization_created", {"ref": "x"}), ("error", {"reason": "unknown_message"}))
        self.assertEqual(gateway.ask("flow_authorized", {"ref": request["ref"]}), ("ok", {}))
        self.assertIn("gateway_group_id", client.wait("flow_created"))
        client.send("create_flow", {"resource_id": by_name["One"]["id"], "connected_gateway_ids": []})
        self.assertEqual(client.wait("flow_creation_failed")["reason"], "offline")

    def test_revocation(self):
        gateway, client = self.gateway(), self.client()
        request, _ = self.authorize(client, gateway, ids(client.init)["Lab"])
        self.assertEqual(self.portal.ctl("revoke", "cl1", "Lab"), 1)
        self.assertEqual(gateway.wait("reject_access"),
                         {"client_id": request["client"]["id"], "resource_id": request["resource"]["id"]})
        self.assertEqual(self.portal.ctl("state")["authorizations"], [])
        self.authorize(client, gateway, ids(client.init)["Lab"])

    # ---- device pools ----

    def test_device_pool(self):
        client, peer = self.client(), self.device("client", "ct2", "3f8f4b58-6a0c-4d0e-9b0e-2b6f3f2a9d11", key(3))
        pool = ids(client.init)["Pool"]

        def ask(**address):
            client.send("request_authorization", {"resource_id": pool, "connected_gateway_ids": [], **address})
        ask()
        self.assertEqual(client.wait("client_device_access_denied"), {"resource_id": pool, "reason": "missing_address"})
        ask(ipv4="100.64.0.3", ipv6="fd00:2021:1111::3")
        self.assertEqual(client.wait("client_device_access_denied")["reason"], "ambiguous_address")
        ask(ipv4="100.64.0")
        self.assertEqual(client.wait("client_device_access_denied"),
                         {"ipv4": "100.64.0", "ipv6": None, "reason": "invalid_address"})
        ask(ipv4="100.64.0.2")
        self.assertEqual(client.wait("client_device_access_denied")["reason"], "forbidden")
        ask(ipv6="fd00:2021:1111::3")
        told, answer = peer.wait("client_device_access_authorized"), client.wait("client_device_access_authorized")
        self.assertEqual((told["ice_role"], answer["ice_role"]), ("controlled", "controlling"))
        self.assertEqual(told["local_ice_credentials"], answer["remote_ice_credentials"])
        self.assertEqual(told["remote_ice_credentials"], answer["local_ice_credentials"])
        self.assertEqual(told["preshared_key"], answer["preshared_key"])
        self.assertEqual((told["client_name"], answer["client_name"]), ("cl1", "cl2"))
        self.assertEqual(told["resource"]["id"], pool)
        self.assertNotIn("resource", answer)
        client.send("new_client_ice_candidates", {"client_id": answer["client_id"], "candidates": ["candidate:1"]})
        self.assertEqual(peer.wait("client_ice_candidates"),
                         {"client_id": told["client_id"], "candidates": ["candidate:1"]})
        self.portal.ctl("update-resource", "Pool", 'filters=[{"protocol":"icmp"}]')
        self.assertEqual(client.wait("resource_created_or_updated")["id"], pool)
        messages = [peer.receive() for _ in range(2)]
        updated = [m for m in messages if m["event"] == "resource_filters_updated"][0]
        self.assertEqual(updated["payload"], {"id": pool, "filters": [{"protocol": "icmp"}]})
        self.portal.ctl("update-resource", "Dyn", "address=*.nowhere.example")
        client.wait("resource_created_or_updated")
        peer.wait("resource_created_or_updated")
        self.portal.ctl("update-resource", "Pool", "devices=[]")
        self.assertEqual(client.wait("resource_created_or_updated")["devices"], [])
        self.assertEqual(client.wait("client_device_access_denied")["reason"], "forbidden")
        peer.wait("resource_created_or_updated")
        self.assertEqual(peer.wait("reject_access"), {"client_id": told["client_id"], "resource_id": pool})
        client.send("invalidate_client_ice_candidates", {"client_id": key(9)[:36], "candidates": []})
        self.assertEqual(client.wait("client_ice_candidate_error")["reason"], "offline")

    def test_pool_names(self):
        client = self.client()
        dyn = ids(client.init)["Dyn"]
        client.send("resolve_device_pool_domain", {"resource_id": dyn, "domain": "BOB.laptops.corp.example"})
        self.assertEqual(client.wait("device_pool_domain_resolved"), {
            "resource_id": dyn, "domain": "BOB.laptops.corp.example", "ipv4": "100.64.0.3/32",
            "ipv6": "fd00:2021:1111::3/128"})
        self.portal.ctl("set", "prefixed_pool_answers=false")
        client.send("resolve_device_pool_domain", {"resource_id": dyn, "domain": "bob.laptops.corp.example"})
        self.assertEqual(client.wait("device_pool_domain_resolved")["ipv4"], "100.64.0.3")
        client.send("resolve_device_pool_domain", {"resource_id": dyn, "domain": "eve.laptops.corp.example"})
        self.assertEqual(client.wait("device_pool_domain_resolution_failed")["reason"], "not_found")

    # ---- changes on the fly ----

    def test_several(self):
        gateway, other = self.gateway(), self.device("gateway", "gany", "gw-2", key(5))
        clients = [self.device("client", "any", f"many-{i}", key(10 + i)) for i in range(20)]
        psks = set()
        for client in clients:
            names = ids(client.init)
            _, lab = self.authorize(client, gateway, names["Lab"])
            _, one = self.authorize(client, other, names["One"])
            self.assertNotEqual(lab["gateway_id"], one["gateway_id"])
            psks |= {lab["preshared_key"], one["preshared_key"]}
        self.assertEqual(len(psks), 40)
        self.assertEqual(len({c.init["interface"]["ipv4"] for c in clients}), 20)
        self.portal.ctl("remove-resource", "One")
        self.assertEqual(len({other.wait("reject_access")["client_id"] for _ in clients}), 20)

    def test_resources_change(self):
        gateway, client = self.gateway(), self.client()
        added = self.portal.ctl("add-resource", '{"type":"cidr","name":"New","address":"10.99.0.0/16","site":"HQ"}')
        self.assertEqual(client.wait("resource_created_or_updated")["id"], added)
        request, _ = self.authorize(client, gateway, added)
        self.portal.ctl("update-resource", "New", 'filters=[{"protocol":"tcp","port_range_start":80,"port_range_end":80}]')
        client.wait("resource_created_or_updated")
        self.assertEqual(gateway.wait("resource_updated")["filters"][0]["protocol"], "tcp")
        self.portal.ctl("update-resource", added, "address=10.98.0.0/16")
        self.assertEqual(client.wait("resource_created_or_updated")["address"], "10.98.0.0/16")
        self.assertEqual(gateway.wait("reject_access")["resource_id"], added)
        self.authorize(client, gateway, added)
        self.portal.ctl("remove-resource", "New")
        self.assertEqual(client.wait("resource_deleted"), added)
        self.assertEqual(gateway.wait("reject_access")["client_id"], request["client"]["id"])
        self.portal.ctl("update-resource", "Lab", 'clients=["cl2"]')
        self.assertEqual(client.wait("resource_deleted"), ids(client.init)["Lab"])
        self.assertIn("site is missing", self.portal.ctl("add-resource", "type=cidr", "name=x", "address=10.0.0.0/8", status=1))

    def test_settings_change(self):
        gateway, client = self.gateway(), self.client()
        self.portal.ctl("set", "search_domain=other.example", 'upstream_doh=["https://dns.quad9.net/dns-query"]',
                        "upstream_do53=[]")
        interface = client.wait("config_changed")["interface"]
        self.assertEqual(interface["search_domain"], "other.example")
        self.assertEqual(interface["upstream_doh"], [{"url": "https://dns.quad9.net/dns-query"}])
        gateway.silent()
        self.portal.ctl("set", "slug=other")
        self.assertEqual(gateway.wait("init")["account_slug"], "other")
        self.portal.ctl("update-device", "cl1", "ipv4=100.64.7.7")
        self.assertEqual(client.wait("init")["interface"]["ipv4"], "100.64.7.7")
        self.assertIn("no such setting", self.portal.ctl("set", "nonsense=1", status=1))

    def test_relays_change(self):
        client = self.client()
        client.send("no_relays", {})
        self.assertEqual(client.wait("relays_presence"), {"disconnected_ids": [], "connected": client.init["relays"]})
        r1 = client.init["relays"][0]["id"]
        self.portal.ctl("relays", "add", "name=r2", "mode=static", 'addrs=["203.0.113.102:3478"]', "username=u", "password=p")
        presence = client.wait("relays_presence")
        self.assertEqual(presence["disconnected_ids"], [])
        self.assertEqual([r["username"] for r in presence["connected"]][2:], ["u"])
        self.portal.ctl("relays", "down", "r1")
        presence = client.wait("relays_presence")
        self.assertEqual(presence["disconnected_ids"], [r1])
        self.assertEqual(len(presence["connected"]), 1)
        self.portal.ctl("relays", "up", "r1")
        self.assertEqual(len(client.wait("relays_presence")["connected"]), 3)
        self.portal.ctl("relays", "update", "r1", "secret=s2")
        self.assertNotEqual(client.wait("relays_presence")["connected"][0]["password"], client.init["relays"][0]["password"])
        self.portal.ctl("relays", "add", "name=r3", "mode=static", 'addrs=["203.0.113.103:3478"]', "username=u", "password=p")
        client.silent()

    def test_upstream_relay(self):
        self.portal.ctl("relays", "remove", "r1")
        client = self.client()
        self.assertEqual(client.init["relays"], [])
        secret = "4c98bf59c99b3e467ecd7cf9d6b3e5279645fca59be67bc5bb4af3cf653761ab"
        crashed = self.device("relay", "rt", extra={"ipv4": "203.0.113.7"}, join=False)
        self.assertEqual(crashed.ask("phx_join", {}), ("error", {"reason": "join crashed"}))
        relay = self.device("relay", "rt", extra={"ipv4": "203.0.113.7", "ipv6": "2001:db8::7", "port": "3479"},
                            payload={"stamp_secret": secret})
        self.assertEqual(relay.init, {})
        self.assertEqual(relay.ask("heartbeat", {}, topic="phoenix"), ("ok", {}))
        entries = client.wait("relays_presence")["connected"]
        self.assertEqual([e["addr"] for e in entries], ["203.0.113.7:3479", "[2001:db8::7]:3479"])
        self.assertEqual(entries[0]["id"], "aa93cc3a-23e1-4e3b-93b9-0b7bb3c0a369")
        salt = base64.b64encode(hashlib.sha256(key(1).encode()).digest()).decode().rstrip("=")
        text = f"2145916800:{secret}:{salt}"
        self.assertEqual(entries[0]["username"], f"2145916800:{salt}")
        self.assertEqual(entries[0]["password"],
                         base64.b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("="))
        relay.close()
        self.assertEqual(client.wait("relays_presence"), {"disconnected_ids": [entries[0]["id"]], "connected": []})

    # ---- trouble on purpose ----

    def test_ends(self):
        client = self.client()
        self.portal.ctl("kick", "cl1")
        self.assertEqual(client.wait("disconnect"), {"reason": "token_expired"})
        client = self.client()
        self.portal.ctl("close-channel", "cl1")
        self.assertEqual(client.wait("phx_close"), {})
        client = self.client()
        self.portal.ctl("close", "cl1", "code=1012")
        self.assertEqual(client.ended(), 1012)
        client = self.client()
        self.portal.ctl("drop", "cl1")
        self.assertIsNone(client.ended())
        client = self.client()
        self.portal.ctl("drop", "cl1", "reset=true")
        with self.assertRaises(ConnectionResetError):
            client.sock.recv(1)
        self.portal_offline("cl1")
        self.assertIn("not online", self.portal.ctl("drop", "cl1", status=1))
        self.assertIn("did not come online", self.portal.ctl("wait", "cl1", "timeout=0.2", status=1))
        client = self.client()
        self.portal.ctl("wait", "cl1")
        self.portal.ctl("revoke-token", "cl1")
        self.assertEqual(client.wait("disconnect"), {"reason": "token_expired"})
        with self.assertRaises(Refused):
            self.client()

    def test_pushes(self):
        client = self.client()
        self.portal.ctl("push", "cl1", "anything", "a=1", "b=text")
        self.assertEqual(client.wait("anything"), {"a": 1, "b": "text"})
        self.portal.ctl("push", "cl1", "resource_deleted", "payload=bare")
        self.assertEqual(client.wait("resource_deleted"), "bare")
        self.portal.ctl("push-raw", "cl1", '{"topic":"client","event":"odd","payload":[],"ref":null}')
        self.assertEqual(client.wait("odd"), [])
        self.portal.ctl("pause", "heartbeats")
        client.send("heartbeat", {}, topic="phoenix")
        client.silent()
        events = self.portal.ctl("events", "cl1", "anything")
        self.assertEqual((len(events), events[0]["dir"]), (1, "<-"))

    # ---- flow logs ----

    def test_flow_logs(self):
        self.portal.ctl("set", "uploads_enabled=true", "upload_interval_secs=5")
        gateway, client = self.gateway(), self.client()
        self.assertEqual(client.init["flow_logs"]["upload_interval_secs"], 5)
        _, answer = self.authorize(client, gateway, ids(client.init)["Lab"])
        record = {"protocol": "tcp", "inner_src_ip": "100.64.0.2", "inner_src_port": 40000, "inner_dst_ip": "10.20.0.1",
                  "inner_dst_port": 80, "flow_start": "2026-01-01T00:00:00.000000Z"}

        def post(body, token):
            return self.http("/ingestion/flow_logs", {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
                             "POST", json.dumps(body).encode())
        token = answer["flow_logs_ingest_token"]
        status, _, body = post({"flow_logs": [record]}, token)
        self.assertEqual((status, json.loads(body)), (200, {"data": {"status": "ok"}}))
        self.assertEqual(post({"flow_logs": [record]}, token[:-2] + "AA")[0], 401)
        self.assertEqual(post({"flow_logs": 1}, token)[0], 400)
        self.assertEqual(post([], token)[0], 400)
        self.assertEqual(post({"flow_logs": [record] * 10001}, token)[0], 400)
        status, headers, body = post({"flow_logs": [record, {**record, "protocol": "icmp"}, 7]}, token)
        self.assertEqual((status, headers["content-type"]), (422, "application/problem+json; charset=utf-8"))
        self.assertEqual(json.loads(body)["validation_errors"],
                         {"1": {"protocol": ["is invalid"]}, "2": {"record": ["must be a JSON object"]}})
        self.assertEqual(self.portal.ctl("state")["flows"], 1)  # the same flow again changes nothing
        self.assertEqual(self.portal.ctl("flows")[0]["role"], "initiator")
        self.assertNotIn("flow_end", self.portal.ctl("flows")[0])
        end = {**record, "flow_end": "2026-01-01T00:00:01Z", "last_packet": "2026-01-01T00:00:00.5Z", "rx_packets": 1,
               "tx_packets": 2, "rx_bytes": 3, "tx_bytes": 4,
               "outers": [{"dst_ip": "203.0.113.1", "dst_port": 52625, "path_activated_at": "2026-01-01T00:00:00Z"}]}
        for field in "outers", "last_packet", "rx_bytes":
            bad = {key: value for key, value in end.items() if key != field}
            self.assertEqual(json.loads(post({"flow_logs": [bad]}, token)[2])["validation_errors"], {"0": {field: ["can't be blank"]}})
        for field, value in (("inner_dst_port", 65536), ("flow_start", "yesterday"), ("inner_src_ip", "100.64.0.02"), ("tx_bytes", -1),
                             ("outers", []), ("outers", [{"dst_ip": "203.0.113.1", "dst_port": 1, "src_ip": "1.2.3.4"}]),
                             ("domain", "x" * 256), ("protocol", None)):
            self.assertEqual(list(json.loads(post({"flow_logs": [{**end, field: value}]}, token)[2])["validation_errors"]["0"]), [field])
        self.assertEqual(post({"flow_logs": [{**end, "role": "responder", "x": 1}]}, token)[0], 200)
        self.assertEqual(post({"flow_logs": [{**end, "tx_bytes": 9}, record]}, token)[0], 200)  # closed is closed
        flows = self.portal.ctl("flows")
        self.assertEqual([(f["tx_bytes"], f["role"], "x" in f) for f in flows], [(4, "initiator", False)])
        mixed = {**record, "policy_authorization_id": "11111111-2222-4333-8444-555555555555"}
        self.assertEqual(post({"flow_logs": [mixed]}, token)[0], 422)
        self.portal.ctl("fail-ingest", "status=503", "retry-after=7")
        status, headers, _ = post({"flow_logs": [record]}, token)
        self.assertEqual((status, headers["retry-after"]), (503, "7"))
        self.assertEqual(post({"flow_logs": [record]}, token)[0], 200)
        self.portal.ctl("set", "rate_limit=true")
        for _ in range(100):  # until two of them fall into one second
            status, headers, _ = post({"flow_logs": [record]}, token)
            if status == 429:
                break
        self.assertEqual((status, headers["retry-after"]), (429, "1"))


class Programs(unittest.TestCase):
    def test_state_outlives_the_program(self):
        with tempfile.TemporaryDirectory() as folder:
            portal = Portal(PROGRAM, CONFIG, "--state", f"{folder}/state.json")
            gateway = Device(portal.port, "gateway", "gt", "gw-1", key(2))
            client = Device(portal.port, "client", "any", "new", key(4))
            Portals.authorize(self, client, gateway, ids(client.init)["Lab"])
            portal.ctl("add-resource", "type=cidr", "name=Kept", "address=10.77.0.0/16", "site=HQ")
            portal.ctl("set", "search_domain=kept.example")
            before = portal.ctl("state")
            portal.end()
            self.assertEqual(client.ended(), 1012)
            gateway.close()
            client.close()
            portal.start()
            after = portal.ctl("state")
            for part in "resources", "settings", "relays":
                self.assertEqual(before[part], after[part])
            self.assertEqual(len(after["authorizations"]), 1)
            gateway = Device(portal.port, "gateway", "gt", "gw-1", key(2))
            again = Device(portal.port, "client", "any", "new", key(4))
            self.assertEqual(len(gateway.init["authorizations"]), 1)
            self.assertEqual(again.init["interface"], {**client.init["interface"], "search_domain": "kept.example"})
            gateway.close()
            again.close()
            portal.stop()

    def run_program(self, *words, config=None):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            if config is not None:
                file.write(config)
                file.flush()
                words = ("-c", file.name, *words)
            done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=10)
        return done.returncode, done.stdout, done.stderr

    def test_options(self):
        self.assertIn("development tool", self.run_program("--version")[1])
        self.assertIn("--listen", self.run_program("--help")[1])
        self.assertIn("fail-next", self.run_program("ctl", "--help")[1])
        self.assertEqual(self.run_program("--nonsense")[0], 2)
        self.assertEqual(self.run_program("word")[0], 2)
        self.assertEqual(self.run_program("ctl")[0], 2)
        self.assertEqual(self.run_program("ctl", "--socket", "/nonexistent/x", "state")[0], 5)
        self.assertEqual(self.run_program("-l", "nonsense", "-s", "/tmp/fz-devportal-test-options")[0], 4)
        self.assertFalse(os.path.exists("/tmp/fz-devportal-test-options"))

    def test_faults(self):
        for config, want in (
                ('{"sites":["HQ"],\n "sites":', ":2:"),
                ('{"sites":["HQ"],\n "nonsense":1}', 'unknown key "nonsense"'),
                ('{"settings":{"iceless":1}}', "settings.iceless: must be true or false"),
                ('{"devices":[{"role":"gateway","name":"g1"}]}', "devices[0] g1: a gateway needs a site"),
                ('{"devices":[{"role":"client","name":"c","ipv4":"10.0.0.1"}]}', "100.64.0.0/11"),
                ('{"sites":["HQ"],"resources":[{"type":"cidr","name":"L","address":"10.0.0.0/33","site":"HQ"}]}', "prefix"),
                ('{"resources":[{"type":"dns","name":"L","address":"a.b","site":"HQ"}]}', "no such site"),
                ('{"relays":[{"name":"r","mode":"coturn","addrs":["1.2.3.4"],"secret":"x"}]}', "addrs must be like"),
                ('{"relays":[{"name":"r","mode":"coturn","addrs":["1.2.3.4:1"]}]}', "secret is missing")):
            status, _, error = self.run_program("--check", config=config)
            self.assertEqual(status, 3, config)
            self.assertIn(want, error)
        self.assertEqual(self.run_program("--check", config=json.dumps(CONFIG))[0], 0)
        example = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bin/fz-devportal/example.json")
        self.assertEqual(self.run_program("--check", "-c", example)[0], 0)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=1)
