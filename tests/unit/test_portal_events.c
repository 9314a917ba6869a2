/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding of everything the portal pushes. Each base message is documented; each row changes one thing in
 * it. */
#include "unit.h"

#include <stdio.h>

#include "base/mem.h"
#include "wire/ingest_token.h"
#include "wire/phx.h"
#include "wire/portal_events.h"

/* Structurally valid, signed with a key nobody has. */
#define TOKEN                                                                                                \
	"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."                                                              \
	"eyJhY2NvdW50X2lkIjoiMGQ2YzJiNGUtNWE1MS00YzFmLThmN2UtM2IyYTE5YzBkNGU1IiwiaWF0IjoxNzY3MjI1NjAwLCJleH" \
	"AiOj"                                                                                               \
	"E3Njk5MDQwMDAsInVwbG9hZHNfZW5hYmxlZCI6ZmFsc2UsInJvbGUiOiJpbml0aWF0b3IiLCJpbml0aWF0b3JfZGV2aWNlX2lk" \
	"Ijoi"                                                                                               \
	"NmYzYzFjNTItM2Q5ZS00ZDVlLThiMGYtMGY0ZjNhOWI3YzEwIiwicmVzcG9uZGVyX2RldmljZV9pZCI6ImI2ZDBhMWE0LTJmNm" \
	"YtNG"                                                                                               \
	"U1OC05YzFkLTdhNWI5ZTNmMmQyMCIsInBvbGljeV9hdXRob3JpemF0aW9uX2lkIjoiMmQxZTBmM2EtNGI1Yy00ZDZlLThmNzAt" \
	"ODE5"                                                                                               \
	"MmEzYjRjNWQ2IiwicG9saWN5X2lkIjoiN2Y2ZTVkNGMtM2IyYS00MTkwLThmN2UtNmQ1YzRiM2EyOTEwIiwicmVzb3VyY2VfaW" \
	"QiOi"                                                                                               \
	"JjMGZmZWUwMC0xMjM0LTRhYmMtOGRlZi0wMTIzNDU2Nzg5YWIiLCJyZXNvdXJjZV9uYW1lIjoiV2lraSIsImluaXRpYXRvcl9h" \
	"Y3Rv"                                                                                               \
	"cl9pZCI6IjExMTEyMjIyLTMzMzMtNDQ0NC04NTU1LTY2NjY3Nzc3ODg4OCIsImluaXRpYXRvcl9hY3Rvcl9uYW1lIjoiQWRhIi" \
	"wiYX"                                                                                               \
	"V0aG9yaXplZF9hdCI6IjIwMjYtMDEtMDFUMDA6MDA6MDAuMDAwMDAwWiIsImF1dGhvcml6YXRpb25fZXhwaXJlc19hdCI6IjIw" \
	"MjYt"                                                                                               \
	"MDEtMDJUMDA6MDA6MDAuMDAwMDAwWiJ9.H_hJTUw2VMtWomHPFeTULF-0r48W_FaOPSp4og2LZ_U"

#define RELAY4                                                                                               \
	"{'type':'turn','id':'aa93cc3a-23e1-4e3b-93b9-0b7bb3c0a369','addr':'203.0.113.7:3478','username':'"  \
	"u4',"                                                                                               \
	"'password':'p4','expires_at':1767225600}"
#define RELAY6                                                                                               \
	"{'type':'turn','id':'aa93cc3a-23e1-4e3b-93b9-0b7bb3c0a369','addr':'[2001:db8::7]:3478','username':" \
	"'u6',"                                                                                              \
	"'password':'p6','expires_at':1767225600}"
#define GRANT                                                                                                \
	"{'client_id':'9a7b6c5d-4e3f-4210-8f0e-1d2c3b4a5968','resource_id':'0b0b0b0b-1111-4222-8333-"        \
	"444455556666',"                                                                                     \
	"'expires_at':1767225600}"
#define SITES "'sites':[{'id':'5a1f0e9d-0b1c-4d2e-8f30-41526374859a','name':'HQ'}]"
#define FLOW                                                                                                 \
	"'flow_logs':{'api_url':'https://flow-api.firezone.dev/"                                             \
	"','upload_interval_secs':60,'upload_batch_size':1000}"
#define KEY1 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY2 "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
#define PSK "j7vjRyvzql9S3g0yxs+4lu/EMo5xAnvYN0+WcFa4bKo="

static const char client_init[] =
	"{'interface':{'ipv4':'100.64.3.9','ipv6':'fd00:2021:1111::3:9','search_domain':'corp.example',"
	"'upstream_do53':[{'ip':'192.0.2.53'},{'ip':'2001:db8::53'}],'upstream_doh':[{'url':'https://"
	"dns.quad9.net/dns-query'}],"
	"'upstream_dns':[{'protocol':'ip_port','address':'192.0.2.1:53'}]},'resources':["
	"{'type':'dns','id':'c0ffee00-1234-4abc-8def-000000000001','name':'Wiki','address':'*.wiki.corp."
	"example',"
	"'address_description':'https://"
	"wiki.corp.example','ip_stack':'ipv4_only','filters':[{'protocol':'tcp',"
	"'port_range_start':443,'port_range_end':444},{'protocol':'icmp'},{'protocol':'udp'}]," SITES "},"
	"{'type':'cidr','id':'c0ffee00-1234-4abc-8def-000000000002','name':'Lab','address':'10.20.0.0/16',"
	"'address_description':null,'gateway_groups':[]},"
	"{'type':'internet','id':'c0ffee00-1234-4abc-8def-000000000003','can_be_disabled':true," SITES "},"
	"{'type':'static_device_pool','id':'c0ffee00-1234-4abc-8def-000000000004','name':'Printers','filters'"
	":[],"
	"'devices':[{'client_id':'9a7b6c5d-4e3f-4210-8f0e-1d2c3b4a5968','ipv4':'100.64.1.38/"
	"32','ipv6':'fd00:2021:1111::125/128'}]},"
	"{'type':'dynamic_device_pool','id':'c0ffee00-1234-4abc-8def-000000000005','name':'Laptops','address'"
	":'*.laptops.corp.example',"
	"'filters':'ignored'},"
	"{'type':'quantum','id':7}],"
	"'relays':[" RELAY4 "," RELAY6
	",{'type':'stun','id':'aa93cc3a-23e1-4e3b-93b9-0b7bb3c0a370','addr':'203.0.113.8:3478'}],"
	"'authorizations':[" GRANT "]," FLOW "}";

static const char authz_created[] =
	"{'resource_id':'c0ffee00-1234-4abc-8def-0123456789ab','gateway_id':'b6d0a1a4-2f6f-4e58-9c1d-"
	"7a5b9e3f2d20',"
	"'gateway_public_key':'" KEY2 "','gateway_ipv4':'100.64.0.21','gateway_ipv6':'fd00:2021:1111::21',"
	"'site_id':'5a1f0e9d-0b1c-4d2e-8f30-41526374859a','preshared_key':'" PSK "',"
	"'client_ice_credentials':{'username':'xuu4','password':'6gogwz7ydfrb4wd7dyvgiw'},"
	"'gateway_ice_credentials':{'username':'labd','password':'bcrcuc4ldjdswbjjkap5ba'},"
	"'use_iceless':false,'flow_logs_ingest_token':'" TOKEN "'}";

static const char device_access[] =
	"{'client_id':'6f3c1c52-3d9e-4d5e-8b0f-0f4f3a9b7c10','client_name':'ada-laptop','client_public_key':"
	"'" KEY1 "',"
	"'client_ipv4':'100.64.3.9','client_ipv6':'fd00:2021:1111::3:9','preshared_key':'" PSK "',"
	"'local_ice_credentials':{'username':'c3d4','password':'ijklmnopqrstuvwxyz2345'},"
	"'remote_ice_credentials':{'username':'a1b2','password':'abcdefghijklmnopqrstuv'},"
	"'ice_role':'controlled','use_iceless':true,"
	"'resource':{'type':'static_device_pool','id':'0b0b0b0b-1111-4222-8333-444455556666','name':'"
	"Printers','devices':[],"
	"'filters':[{'protocol':'tcp','port_range_start':9100,'port_range_end':9100}]},"
	"'subject':{},'expires_at':1767225600,'flow_logs_ingest_token':'" TOKEN "'}";

static const char gateway_init[] =
	"{'interface':{'ipv4':'100.64.0.21','ipv6':'fd00:2021:1111::21'},"
	"'config':{'ipv4_masquerade_enabled':true,'ipv6_masquerade_enabled':true},'account_slug':'acme',"
	"'relays':[" RELAY4 "],'authorizations':[" GRANT "]," FLOW "}";

static const char create_authz[] =
	"{'ref':'SFMyNTY.a.b','client':{'id':'6f3c1c52-3d9e-4d5e-8b0f-0f4f3a9b7c10','public_key':'" KEY1
	"','preshared_key':'" PSK "',"
	"'ipv4':'100.64.3.9','ipv6':'fd00:2021:1111::3:9','version':'1.5.12','device_serial':null},"
	"'subject':{'actor_type':'account_user'},"
	"'resource':{'type':'cidr','id':'c0ffee00-1234-4abc-8def-0123456789ab','name':'Lab','address':'10.20."
	"0.0/16','filters':[]},"
	"'client_ice_credentials':{'username':'xuu4','password':'6gogwz7ydfrb4wd7dyvgiw'},"
	"'gateway_ice_credentials':{'username':'labd','password':'bcrcuc4ldjdswbjjkap5ba'},"
	"'expires_at':1767225600,'use_iceless':false,'flow_logs_ingest_token':'" TOKEN "'}";

static const char relays_presence[] =
	"{'disconnected_ids':['aa93cc3a-23e1-4e3b-93b9-0b7bb3c0a370'],'connected':[" RELAY4 "]}";
static const char gw_candidates[] = "{'gateway_id':'b6d0a1a4-2f6f-4e58-9c1d-7a5b9e3f2d20','candidates':['"
				    "candidate:1',7,'candid','candidate:2',null]}";
static const char cl_candidates[] =
	"{'client_id':'b6d0a1a4-2f6f-4e58-9c1d-7a5b9e3f2d20','candidates':['candidate:1']}";
static const char authz_failed[] = "{'resource_id':'c0ffee00-1234-4abc-8def-0123456789ab','reason':'"
				   "forbidden','violated_properties':['remote_ip','new']}";
static const char denied[] = "{'client_id':'6f3c1c52-3d9e-4d5e-8b0f-0f4f3a9b7c10','ipv4':'100.64.3.9','ipv6':"
			     "null,'reason':'offline'}";
static const char resolved[] = "{'resource_id':'c0ffee00-1234-4abc-8def-0123456789ab','domain':'a.b','ipv4':'"
			       "100.64.0.42/32','ipv6':'fd00:2021:1111::42/128'}";
static const char filters_updated[] = "{'id':'c0ffee00-1234-4abc-8def-0123456789ab','filters':[{'protocol':'"
				      "udp','port_range_start':53,'port_range_end':53}]}";
static const char pair[] = "{'client_id':'9a7b6c5d-4e3f-4210-8f0e-1d2c3b4a5968','resource_id':'0b0b0b0b-1111-"
			   "4222-8333-444455556666'}";

#define CL PORTAL_ROLE_CLIENT
#define GW PORTAL_ROLE_GATEWAY
#define GOOD NULL
#define UNKNOWN "?"

/* from -> to is replaced in the base message (first occurrence); want: GOOD, UNKNOWN event, or the key to
 * blame. */
static const struct {
	enum portal_role role;
	const char *event, *base, *why, *from, *to, *want;
} rows[] = {
	{ CL, "init", client_init, "as documented", "", "", GOOD },
	{ CL, "init", client_init, "unknown keys", "{'interface':{",
	  "{'more':{'a':[1]},'interface':{'mtu':1280,", GOOD },
	{ CL, "init", client_init, "no interface", "'interface'", "'x'", "interface" },
	{ CL, "init", client_init, "no flow_logs", "'flow_logs'", "'x'", "flow_logs" },
	{ CL, "init", client_init, "flow_logs without interval", "'upload_interval_secs'", "'x'",
	  "upload_interval_secs" },
	{ CL, "init", client_init, "flow_logs without batch size", "'upload_batch_size'", "'x'",
	  "upload_batch_size" },
	{ CL, "init", client_init, "flow_logs without URL", "'api_url'", "'x'", "api_url" },
	{ CL, "init", client_init, "no resources", "'resources'", "'x'", GOOD },
	{ CL, "init", client_init, "resources are no list", "'resources':[", "'resources':7,'x':[",
	  "resources" },
	{ CL, "init", client_init, "no relays", "'relays'", "'x'", GOOD },
	{ CL, "init", client_init, "no authorizations", "'authorizations'", "'x'", GOOD },
	{ CL, "init", client_init, "relay of an unknown type", "'type':'turn'", "'type':'turns'", "type" },
	{ CL, "init", client_init, "relay with a bad address", "'203.0.113.7:3478'", "'203.0.113.7'",
	  "addr" },
	{ CL, "init", client_init, "relay with a bad id", "aa93cc3a-23e1", "aa93cc3a-23ex", "id" },
	{ CL, "init", client_init, "relay without a password", "'password':'p4'", "'x':1", "password" },
	{ CL, "init", client_init, "relay without expires_at", "'expires_at':1767225600}", "'x':1}", GOOD },
	{ CL, "init", client_init, "resource without a type", "'type':'dns'", "'x':'dns'", "type" },
	{ CL, "init", client_init, "IPv4 with a prefix length", "'100.64.3.9'", "'100.64.3.9/32'", "ipv4" },
	{ CL, "init", client_init, "IPv6 in the place of IPv4", "'100.64.3.9'", "'::1'", "ipv4" },
	{ CL, "init", client_init, "IPv6 is a number", "'fd00:2021:1111::3:9'", "7", "ipv6" },
	{ CL, "init", client_init, "search_domain null", "'corp.example'", "null", GOOD },
	{ CL, "init", client_init, "search_domain invalid", "'corp.example'", "'corp..example'",
	  "search_domain" },
	{ CL, "init", client_init, "do53 invalid", "'192.0.2.53'", "'192.0.2.530'", "upstream_do53" },
	{ CL, "init", client_init, "doh not https", "'https://dns", "'http://dns", "upstream_doh" },
	{ CL, "init", client_init, "doh with a query", "/dns-query'", "/dns-query?a=b'", "upstream_doh" },
	{ CL, "init", client_init, "unknown protocol in upstream_dns", "'ip_port'", "'quic'",
	  "upstream_dns" },
	{ CL, "init", client_init, "grant without expiry", "666','expires_at':", "666','x':", "expires_at" },
	{ CL, "init", client_init, "expiry is a text", "666','expires_at':1767225600",
	  "666','expires_at':'1'", "expires_at" },
	{ CL, "config_changed", "{'interface':{'ipv4':'100.64.3.9','ipv6':'::1'}}", "smallest", "", "",
	  GOOD },
	{ CL, "config_changed", "{'interface':{'ipv4':'100.64.3.9'}}", "one address", "", "", "ipv6" },
	{ CL, "config_changed", "{}", "no interface", "", "", "interface" },
	{ CL, "resource_deleted", "'c0ffee00-1234-4abc-8def-0123456789ab'", "bare string", "", "", GOOD },
	{ CL, "resource_deleted", "{'id':'c0ffee00-1234-4abc-8def-0123456789ab'}", "object", "", "",
	  "payload" },
	{ CL, "resource_deleted", "'c0ffee'", "no UUID", "", "", "payload" },
	{ CL, "resource_created_or_updated", "{'id':7}", "no type", "", "", "type" },
	{ CL, "relays_presence", relays_presence, "as documented", "", "", GOOD },
	{ GW, "relays_presence", relays_presence, "as documented", "", "", GOOD },
	{ CL, "relays_presence", relays_presence, "no disconnected_ids", "'disconnected_ids'", "'x'",
	  "disconnected_ids" },
	{ CL, "relays_presence", relays_presence, "no connected", "'connected'", "'x'", "connected" },
	{ CL, "relays_presence", relays_presence, "bad id", "0a370'", "0a37'", "disconnected_ids" },
	{ CL, "authorization_created", authz_created, "as documented", "", "", GOOD },
	{ CL, "authorization_created", authz_created, "old name of the site", "'site_id'",
	  "'gateway_group_id'", GOOD },
	{ CL, "authorization_created", authz_created, "no site", "'site_id'", "'x'", "gateway_group_id" },
	{ CL, "authorization_created", authz_created, "no use_iceless", "'use_iceless'", "'x'", GOOD },
	{ CL, "authorization_created", authz_created, "no gateway_id", "'gateway_id'", "'x'", "gateway_id" },
	{ CL, "authorization_created", authz_created, "no resource_id", "'resource_id'", "'x'",
	  "resource_id" },
	{ CL, "authorization_created", authz_created, "short key", KEY2, "AAAA", "gateway_public_key" },
	{ CL, "authorization_created", authz_created, "url-safe key", "+4lu/EM", "-4lu_EM", "preshared_key" },
	{ CL, "authorization_created", authz_created, "no client ICE", "'client_ice_credentials'", "'x'",
	  "client_ice_credentials" },
	{ CL, "authorization_created", authz_created, "half of the gateway's ICE", "'password':'bcr",
	  "'x':'bcr", "password" },
	{ CL, "authorization_created", authz_created, "no gateway_ipv4", "'gateway_ipv4'", "'x'",
	  "gateway_ipv4" },
	{ CL, "authorization_created", authz_created, "no gateway_ipv6", "'gateway_ipv6'", "'x'",
	  "gateway_ipv6" },
	{ CL, "authorization_created", authz_created, "no ingest token", "'flow_logs_ingest_token'", "'x'",
	  "flow_logs_ingest_token" },
	{ CL, "authorization_created", authz_created, "token of two parts", ".H_hJ", "H_hJ",
	  "flow_logs_ingest_token" },
	{ CL, "authorization_creation_failed", authz_failed, "as documented", "", "", GOOD },
	{ CL, "authorization_creation_failed", authz_failed, "unknown reason", "forbidden", "tuesday", GOOD },
	{ CL, "authorization_creation_failed", authz_failed, "no reason", "'reason'", "'x'", "reason" },
	{ CL, "ice_candidates", gw_candidates, "faulty ones are skipped", "", "", GOOD },
	{ CL, "gateway_ice_candidates", gw_candidates, "other name", "", "", GOOD },
	{ CL, "invalidate_ice_candidates", gw_candidates, "", "", "", GOOD },
	{ CL, "invalidate_gateway_ice_candidates", gw_candidates, "other name", "", "", GOOD },
	{ CL, "ice_candidates", gw_candidates, "no gateway", "'gateway_id'", "'x'", "gateway_id" },
	{ CL, "ice_candidates", gw_candidates, "no list", "'candidates'", "'x'", "candidates" },
	{ CL, "client_ice_candidates", cl_candidates, "", "", "", GOOD },
	{ CL, "invalidate_client_ice_candidates", cl_candidates, "", "", "", GOOD },
	{ CL, "client_ice_candidates", gw_candidates, "of a gateway", "", "", "client_id" },
	{ CL, "client_device_access_authorized", device_access, "target", "", "", GOOD },
	{ CL, "client_device_access_authorized", device_access, "initiator", "'resource':{", "'x':{", GOOD },
	{ CL, "client_device_access_authorized", device_access, "no expiry", "'expires_at'", "'x'", GOOD },
	{ CL, "client_device_access_authorized", device_access, "no name", "'client_name'", "'x'",
	  "client_name" },
	{ CL, "client_device_access_authorized", device_access, "no token", "'flow_logs_ingest_token'", "'x'",
	  "flow_logs_ingest_token" },
	{ CL, "client_device_access_authorized", device_access, "unknown role", "'controlled'", "'shared'",
	  "ice_role" },
	{ CL, "client_device_access_authorized", device_access, "unknown filter", "'protocol':'tcp'",
	  "'protocol':'sctp'", "protocol" },
	{ CL, "client_device_access_denied", denied, "as documented", "", "", GOOD },
	{ CL, "client_device_access_denied",
	  "{'resource_id':'c0ffee00-1234-4abc-8def-0123456789ab','reason':'missing_address'}", "", "", "",
	  GOOD },
	{ CL, "client_device_access_denied", denied, "bad address", "100.64.3.9", "100.64.3", "ipv4" },
	{ CL, "client_ice_candidate_error",
	  "{'client_id':'6f3c1c52-3d9e-4d5e-8b0f-0f4f3a9b7c10','reason':'offline'}", "", "", "", GOOD },
	{ CL, "client_ice_candidate_error",
	  "{'client_id':'6f3c1c52-3d9e-4d5e-8b0f-0f4f3a9b7c10','reason':'busy'}", "", "", "", "reason" },
	{ CL, "device_pool_domain_resolved", resolved, "with prefix lengths", "", "", GOOD },
	{ CL, "device_pool_domain_resolved", resolved, "bare IPv4", "42/32", "42", GOOD },
	{ CL, "device_pool_domain_resolved", resolved, "bare IPv6", "42/128", "42", GOOD },
	{ CL, "device_pool_domain_resolved", resolved, "a network", "42/32", "0/24", "ipv4" },
	{ CL, "device_pool_domain_resolution_failed",
	  "{'resource_id':'c0ffee00-1234-4abc-8def-0123456789ab','domain':'a.b','reason':'not_found'}", "",
	  "", "", GOOD },
	{ CL, "resource_filters_updated", filters_updated, "as documented", "", "", GOOD },
	{ CL, "resource_filters_updated", filters_updated, "unknown protocol", "udp", "sctp", "protocol" },
	{ CL, "resource_filters_updated", filters_updated, "start after end", "'port_range_start':53",
	  "'port_range_start':54", "port_range_end" },
	{ CL, "resource_filters_updated", filters_updated, "port too big", "'port_range_end':53",
	  "'port_range_end':65536", "port_range_end" },
	{ CL, "resource_filters_updated", filters_updated, "null port", "'port_range_end':53",
	  "'port_range_end':null", "port_range_end" },
	{ CL, "resource_filters_updated", filters_updated, "fraction", "'port_range_end':53",
	  "'port_range_end':53.5", "port_range_end" },
	{ CL, "resource_filters_updated", filters_updated, "no filters", "'filters'", "'x'", "filters" },
	{ CL, "reject_access", pair, "", "", "", GOOD },
	{ GW, "reject_access", pair, "", "", "", GOOD },
	{ CL, "access_authorization_expiry_updated", GRANT, "", "", "", GOOD },
	{ GW, "access_authorization_expiry_updated", GRANT, "", "", "", GOOD },
	{ GW, "reject_access", pair, "no client", "'client_id'", "'x'", "client_id" },
	{ GW, "init", gateway_init, "as documented", "", "", GOOD },
	{ GW, "init", gateway_init, "no slug", "'account_slug'", "'x'", GOOD },
	{ GW, "init", gateway_init, "no config", "'config'", "'x'", "config" },
	{ GW, "init", gateway_init, "no flow_logs", "'flow_logs'", "'x'", "flow_logs" },
	{ GW, "init", gateway_init, "no interface", "'interface'", "'x'", "interface" },
	{ GW, "create_authorization", create_authz, "as documented", "", "", GOOD },
	{ GW, "create_authorization", create_authz, "no expiry", "'expires_at'", "'x'", GOOD },
	{ GW, "create_authorization", create_authz, "no subject", "'subject'", "'x'", GOOD },
	{ GW, "create_authorization", create_authz, "no ref", "'ref'", "'x'", "ref" },
	{ GW, "create_authorization", create_authz, "no client", "'client':", "'x':", "client" },
	{ GW, "create_authorization", create_authz, "no client id", "{'id':'6f3c", "{'x':'6f3c", "id" },
	{ GW, "create_authorization", create_authz, "no client key", "'public_key'", "'x'", "public_key" },
	{ GW, "create_authorization", create_authz, "no PSK", "'preshared_key'", "'x'", "preshared_key" },
	{ GW, "create_authorization", create_authz, "no resource", "'resource'", "'x'", "resource" },
	{ GW, "create_authorization", create_authz, "resource without filters", "'filters'", "'x'",
	  "filters" },
	{ GW, "create_authorization", create_authz, "resource without name", "'name':'Lab'", "'x':1",
	  "name" },
	{ GW, "create_authorization", create_authz, "host bits set", "10.20.0.0/16", "10.20.0.1/16",
	  "address" },
	{ GW, "create_authorization", create_authz, "pool", "'cidr'", "'static_device_pool'", "type" },
	{ GW, "create_authorization", create_authz, "internet", "'type':'cidr'", "'type':'internet'", GOOD },
	{ GW, "create_authorization", create_authz, "no token", "'flow_logs_ingest_token'", "'x'",
	  "flow_logs_ingest_token" },
	{ GW, "ice_candidates", cl_candidates, "", "", "", GOOD },
	{ GW, "invalidate_ice_candidates", cl_candidates, "", "", "", GOOD },
	{ GW, "resource_updated",
	  "{'type':'dns','id':'c0ffee00-1234-4abc-8def-0123456789ab','name':'n','address':'a','filters':[]}",
	  "", "", "", GOOD },
	{ GW, "resource_updated",
	  "{'type':'dns','id':'c0ffee00-1234-4abc-8def-0123456789ab','name':'n','address':'a'}", "", "", "",
	  "filters" },
	{ GW, "authorization_created", authz_created, "event of the other role", "", "", UNKNOWN },
	{ GW, "allow_access", "{}", "legacy", "", "", UNKNOWN },
	{ CL, "create_authorization", create_authz, "event of the other role", "", "", UNKNOWN },
	{ CL, "phx_reply", "{}", "framing", "", "", UNKNOWN },
	{ CL, "", "{}", "no name", "", "", UNKNOWN },
	{ CL, "init", "null", "null payload", "", "", "interface" },
	{ CL, "init", "[]", "list payload", "", "", "interface" },
};

/* JSON with ' for ", after one replacement. */
static struct jv *build(const char *base, const char *from, const char *to)
{
	static char text[20000];
	const char *at = *from ? strstr(base, from) : base;
	struct jv *v = NULL;

	ck_assert_msg(at != NULL, "%s not found", from);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - base), base, to, at + strlen(from));
	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	ck_assert_msg(jv_parse(text, strlen(text), &v) == JV_OK, "%s", text);
	return v;
}

static int decode(struct unit_env *u, enum portal_role role, const char *event, const struct jv *payload,
		  struct portal_event *ev, const char **reason)
{
	struct phx_msg m = { .topic = "x", .event = event, .payload = payload };

	return portal_event_decode(&u->env, role, &m, ev, reason);
}

START_TEST(documented_messages_and_one_change_each)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct unit_env u;
		struct portal_event ev = { 0 };
		const char *reason = NULL;
		struct jv *v = build(rows[i].base, rows[i].from, rows[i].to);
		unit_env_init(&u, 1);
		int got = decode(&u, rows[i].role, rows[i].event, v, &ev, &reason);
		int want = rows[i].want == NULL ? 0 : rows[i].want[0] == '?' ? FZ_ERR_NOT_MINE : FZ_ERR_WIRE;
		ck_assert_msg(got == want, "%s, %s: %d because of %s", rows[i].event, rows[i].why, got,
			      reason ? reason : "-");
		if (want == FZ_ERR_WIRE)
			ck_assert_msg(strcmp(reason, rows[i].want) == 0, "%s, %s: blamed %s", rows[i].event,
				      rows[i].why, reason);
		portal_event_clear(&u.env, &ev);
		jv_free(v);
		unit_env_check(&u);
	}
}
END_TEST

START_TEST(client_init_content)
{
	struct unit_env u;
	struct portal_event ev;
	const char *reason;
	char buf[FZ_ADDR_STRLEN];
	struct jv *v = build(client_init, "", "");

	unit_env_init(&u, 1);
	ck_assert_int_eq(decode(&u, CL, "init", v, &ev, &reason), 0);
	jv_free(v);
	const struct portal_init *init = &ev.u.init;
	ck_assert_int_eq(ev.type, PORTAL_EVENT_INIT);
	ck_assert_str_eq(fz_ip_format(&init->interface.ipv4, buf), "100.64.3.9");
	ck_assert_str_eq(init->interface.search_domain, "corp.example");
	ck_assert_uint_eq(init->interface.upstream_do53_len, 2);
	ck_assert_str_eq(fz_ip_format(&init->interface.upstream_do53[1], buf), "2001:db8::53");
	ck_assert_str_eq(init->interface.upstream_doh[0], "https://dns.quad9.net/dns-query");
	ck_assert_uint_eq(init->resources_len, 5);
	ck_assert_uint_eq(init->resources_skipped, 1);
	const struct portal_resource *dns = &init->resources[0], *cidr = &init->resources[1];
	ck_assert_int_eq(dns->type, PORTAL_RESOURCE_DNS);
	ck_assert_int_eq(dns->ip_stack, PORTAL_STACK_IPV4_ONLY);
	ck_assert_str_eq(dns->address_description, "https://wiki.corp.example");
	ck_assert_uint_eq(dns->filters_len, 3);
	ck_assert(dns->filters[0].proto == PORTAL_PROTO_TCP && dns->filters[0].start == 443 &&
		  dns->filters[0].end == 444);
	ck_assert(dns->filters[2].proto == PORTAL_PROTO_UDP && dns->filters[2].start == 0 &&
		  dns->filters[2].end == 65535);
	ck_assert_str_eq(dns->sites[0].name, "HQ");
	ck_assert_str_eq(fz_prefix_format(&cidr->net, buf), "10.20.0.0/16");
	ck_assert_int_eq(cidr->ip_stack, PORTAL_STACK_DUAL);
	ck_assert_uint_eq(cidr->sites_len, 0);
	ck_assert_str_eq(init->resources[2].name, "Internet Resource");
	ck_assert_str_eq(fz_prefix_format(&init->resources[3].devices[0].ipv6, buf),
			 "fd00:2021:1111::125/128");
	ck_assert_str_eq(init->resources[4].address, "*.laptops.corp.example");
	ck_assert_uint_eq(init->relays_len, 1); /* neighbours of one id, and a stun entry that is ignored */
	ck_assert_str_eq(fz_addr_format(&init->relays[0].ipv4, buf), "203.0.113.7:3478");
	ck_assert_str_eq(fz_addr_format(&init->relays[0].ipv6, buf), "[2001:db8::7]:3478");
	ck_assert_str_eq(init->relays[0].username, "u6");
	ck_assert_str_eq(init->relays[0].password, "p6");
	ck_assert_uint_eq(init->relays[0].expires_at, 1767225600);
	ck_assert_uint_eq(init->authorizations_len, 1);
	ck_assert_uint_eq(init->flow_logs.upload_batch_size, 1000);
	portal_event_clear(&u.env, &ev);
	unit_env_check(&u);
}
END_TEST

START_TEST(legacy_dns_counts_without_do53)
{
	struct unit_env u;
	struct portal_event ev;
	const char *reason;
	char buf[FZ_IP_STRLEN];
	struct jv *v = build(client_init, "'upstream_do53'", "'x'");

	unit_env_init(&u, 1);
	ck_assert_int_eq(decode(&u, CL, "init", v, &ev, &reason), 0);
	ck_assert_uint_eq(ev.u.init.interface.upstream_do53_len, 1);
	ck_assert_str_eq(fz_ip_format(&ev.u.init.interface.upstream_do53[0], buf), "192.0.2.1");
	portal_event_clear(&u.env, &ev);
	jv_free(v);
	unit_env_check(&u);
}
END_TEST

START_TEST(half_a_config)
{
	struct unit_env u;
	struct portal_event ev;
	const char *reason;
	struct jv *v = build(gateway_init, "'ipv6_masquerade_enabled':true", "'x':true");

	unit_env_init(&u, 1);
	ck_assert_int_eq(decode(&u, GW, "init", v, &ev, &reason), FZ_ERR_WIRE);
	ck_assert_str_eq(reason, "ipv6_masquerade_enabled");
	jv_free(v);
	unit_env_check(&u);
}
END_TEST

/* Relays of the same id that are not neighbours stay two entries. */
START_TEST(only_neighbours_merge)
{
	struct unit_env u;
	struct portal_event ev;
	const char *reason;
	struct jv *v = build(relays_presence, "[" RELAY4 "]",
			     "[" RELAY4 ",{'type':'turn','id':'11111111-23e1-4e3b-93b9-0b7bb3c0a369',"
			     "'addr':'203.0.113.9:3478','username':'a','password':'b'}," RELAY6 "]");

	unit_env_init(&u, 1);
	ck_assert_int_eq(decode(&u, CL, "relays_presence", v, &ev, &reason), 0);
	ck_assert_uint_eq(ev.u.relays.connected_len, 3);
	ck_assert_str_eq(ev.u.relays.connected[0].username, "u4");
	ck_assert_uint_eq(ev.u.relays.disconnected_len, 1);
	portal_event_clear(&u.env, &ev);
	jv_free(v);
	unit_env_check(&u);
}
END_TEST

/* Bad resources are left out alone. */
static const struct {
	const char *why, *text;
	bool good;
} resources[] = {
	{ "no name", "{'type':'dns','id':'c0ffee00-1234-4abc-8def-000000000001','address':'a'," SITES "}",
	  false },
	{ "no sites", "{'type':'dns','id':'c0ffee00-1234-4abc-8def-000000000001','name':'n','address':'a'}",
	  false },
	{ "both names of sites",
	  "{'type':'dns','id':'c0ffee00-1234-4abc-8def-000000000001','name':'n','address':'a','gateway_"
	  "groups':[]," SITES "}",
	  false },
	{ "no filters is fine",
	  "{'type':'dns','id':'c0ffee00-1234-4abc-8def-000000000001','name':'n','address':'a'," SITES "}",
	  true },
	{ "ip_stack null is dual",
	  "{'type':'dns','id':'c0ffee00-1234-4abc-8def-000000000001','name':'n','address':'a','ip_stack':"
	  "null," SITES "}",
	  true },
	{ "unknown ip_stack",
	  "{'type':'dns','id':'c0ffee00-1234-4abc-8def-000000000001','name':'n','address':'a','ip_stack':'v5'"
	  "," SITES "}",
	  false },
	{ "cidr without a length",
	  "{'type':'cidr','id':'c0ffee00-1234-4abc-8def-000000000001','name':'n','address':'10.0.0.1'," SITES
	  "}",
	  false },
	{ "ip as a cidr",
	  "{'type':'cidr','id':'c0ffee00-1234-4abc-8def-000000000001','name':'n','address':'10.0.0.1/"
	  "32'," SITES "}",
	  true },
	{ "unknown filter",
	  "{'type':'cidr','id':'c0ffee00-1234-4abc-8def-000000000001','name':'n','address':'10.0.0.1/"
	  "32','filters':[{'protocol':'gre'}]," SITES "}",
	  false },
	{ "pool without devices",
	  "{'type':'static_device_pool','id':'c0ffee00-1234-4abc-8def-000000000001','name':'n'}", true },
	{ "device by its old key",
	  "{'type':'static_device_pool','id':'c0ffee00-1234-4abc-8def-000000000001','name':'n','devices':[{'"
	  "id':'9a7b6c5d-4e3f-4210-8f0e-1d2c3b4a5968','ipv4':'100.64.1.38/32','ipv6':'fd00::1/128'}]}",
	  true },
	{ "device without a length",
	  "{'type':'static_device_pool','id':'c0ffee00-1234-4abc-8def-000000000001','name':'n','devices':[{'"
	  "id':'9a7b6c5d-4e3f-4210-8f0e-1d2c3b4a5968','ipv4':'100.64.1.38','ipv6':'fd00::1/128'}]}",
	  false },
	{ "pool without an address",
	  "{'type':'dynamic_device_pool','id':'c0ffee00-1234-4abc-8def-000000000001','name':'n'}", false },
	{ "internet, smallest", "{'type':'internet','id':'c0ffee00-1234-4abc-8def-000000000001','sites':[]}",
	  true },
	{ "site without a name",
	  "{'type':'internet','id':'c0ffee00-1234-4abc-8def-000000000001','sites':[{'id':'5a1f0e9d-0b1c-4d2e-"
	  "8f30-41526374859a'}]}",
	  false },
	{ "unknown type", "{'type':'cloud'}", false },
};

START_TEST(resources_alone)
{
	for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++) {
		struct unit_env u;
		struct portal_event ev;
		const char *reason;
		struct jv *v = build(resources[i].text, "", "");
		unit_env_init(&u, 1);
		ck_assert_msg(decode(&u, CL, "resource_created_or_updated", v, &ev, &reason) == 0, "%s: %s",
			      resources[i].why, reason);
		ck_assert_msg((ev.type == PORTAL_EVENT_RESOURCE_UPSERTED) == resources[i].good, "%s",
			      resources[i].why);
		portal_event_clear(&u.env, &ev);
		jv_free(v);
		unit_env_check(&u);
	}
}
END_TEST

START_TEST(grants_content)
{
	struct unit_env u;
	struct portal_event ev;
	const char *reason;
	struct jv *v = build(create_authz, "", "");

	unit_env_init(&u, 1);
	ck_assert_int_eq(decode(&u, GW, "create_authorization", v, &ev, &reason), 0);
	const struct portal_create_authz *c = &ev.u.create_authz;
	ck_assert_str_eq(c->ref, "SFMyNTY.a.b");
	ck_assert_uint_eq(c->client_key.b[31], 31);
	ck_assert_uint_eq(c->preshared_key.b[0], 0x8f);
	ck_assert(c->has_expiry && c->expires_at == 1767225600 && !c->use_iceless);
	ck_assert_str_eq(c->gateway_ice.username, "labd");
	ck_assert_str_eq(c->client_version, "1.5.12");
	ck_assert_int_eq(c->resource.type, PORTAL_RESOURCE_CIDR);
	portal_event_clear(&u.env, &ev);
	jv_free(v);
	v = build(device_access, "", "");
	ck_assert_int_eq(decode(&u, CL, "client_device_access_authorized", v, &ev, &reason), 0);
	const struct portal_device_access *d = &ev.u.device_access;
	ck_assert(!d->controlling && d->use_iceless && d->has_resource && d->has_expiry);
	ck_assert_uint_eq(d->filters_len, 1);
	ck_assert_uint_eq(d->filters[0].start, 9100);
	ck_assert_str_eq(d->local_ice.username, "c3d4");
	portal_event_clear(&u.env, &ev);
	jv_free(v);
	v = build(gw_candidates, "", "");
	ck_assert_int_eq(decode(&u, CL, "ice_candidates", v, &ev, &reason), 0);
	ck_assert_uint_eq(ev.u.candidates.texts_len, 2);
	ck_assert_uint_eq(ev.u.candidates.skipped, 3);
	ck_assert_str_eq(ev.u.candidates.texts[1], "candidate:2");
	ck_assert_int_eq(ev.u.candidates.peer, PORTAL_PEER_GATEWAY);
	portal_event_clear(&u.env, &ev);
	jv_free(v);
	v = build(authz_failed, "", "");
	ck_assert_int_eq(decode(&u, CL, "authorization_creation_failed", v, &ev, &reason), 0);
	ck_assert_int_eq(ev.u.authz_failed.reason, PORTAL_REASON_FORBIDDEN);
	ck_assert_str_eq(ev.u.authz_failed.violated_properties[1], "new");
	portal_event_clear(&u.env, &ev);
	jv_free(v);
	unit_env_check(&u);
}
END_TEST

START_TEST(many_candidates_are_bounded)
{
	struct unit_env u;
	struct portal_event ev;
	const char *reason;
	struct jv *v = jv_object(), *list = jv_array();

	unit_env_init(&u, 1);
	for (int i = 0; i < 1000; i++)
		jv_push_str(list, "candidate:x");
	jv_set_str(v, "client_id", "b6d0a1a4-2f6f-4e58-9c1d-7a5b9e3f2d20");
	jv_set(v, "candidates", list);
	ck_assert_int_eq(decode(&u, GW, "ice_candidates", v, &ev, &reason), 0);
	ck_assert_uint_eq(ev.u.candidates.texts_len, PORTAL_CANDIDATES_MAX);
	ck_assert_uint_eq(ev.u.candidates.skipped, 1000 - PORTAL_CANDIDATES_MAX);
	portal_event_clear(&u.env, &ev);
	jv_free(v);
	unit_env_check(&u);
}
END_TEST

START_TEST(failing_allocations)
{
	static const struct {
		enum portal_role role;
		const char *event, *text;
	} all[] = { { CL, "init", client_init },
		    { GW, "create_authorization", create_authz },
		    { CL, "ice_candidates", gw_candidates } };

	for (size_t i = 0; i < 3; i++) {
		struct jv *v = build(all[i].text, "", "");
		for (long at = 1;; at++) {
			struct unit_env u;
			struct portal_event ev = { 0 };
			const char *reason;
			unit_env_init(&u, 1);
			u.fail_at = at;
			int err = decode(&u, all[i].role, all[i].event, v, &ev, &reason);
			portal_event_clear(&u.env, &ev);
			unit_env_check(&u);
			if (err == 0)
				break;
			ck_assert_int_eq(err, FZ_ERR_NOMEM);
			ck_assert_int_lt(at, 1000);
		}
		jv_free(v);
	}
}
END_TEST

static const struct {
	const char *why, *text;
	int want;
} tokens[] = {
	{ "initiator", TOKEN, 0 },
	{ "four parts", TOKEN ".x", FZ_ERR_WIRE },
	{ "padded", TOKEN "=", FZ_ERR_WIRE },
	{ "empty", "", FZ_ERR_WIRE },
	{ "dots", "..", FZ_ERR_WIRE },
	{ "no signature", "eyJhbGciOiJIUzI1NiJ9.e30.", FZ_ERR_WIRE },
	{ "no claims", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA", FZ_ERR_WIRE },
	{ "other algorithm", "eyJhbGciOiJub25lIn0.e30.AAAA", FZ_ERR_WIRE },
};

START_TEST(a13_13_ingest_tokens)
{
	struct unit_env u;
	struct ingest_token t;

	unit_env_init(&u, 1);
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++)
		ck_assert_msg(ingest_token_check(&u.env, tokens[i].text, &t) == tokens[i].want, "%s",
			      tokens[i].why);
	ck_assert_int_eq(ingest_token_check(&u.env, TOKEN, &t), 0);
	ck_assert(t.is_initiator && !t.uploads_enabled && t.issued_at == 1767225600 &&
		  t.expires_at == 1769904000);
	u.fail_at = u.allocs + 1;
	ck_assert_int_eq(ingest_token_check(&u.env, TOKEN, &t), FZ_ERR_NOMEM);
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("portal_events");

	unit_case(s, "a8_3_decoding", documented_messages_and_one_change_each, client_init_content,
		  legacy_dns_counts_without_do53, half_a_config, only_neighbours_merge, resources_alone,
		  grants_content, many_candidates_are_bounded, failing_allocations);
	unit_case(s, "ingest_token", a13_13_ingest_tokens);
	return s;
}
