/* SPDX-License-Identifier: Apache-2.0 */
/* Inner IP packets: what may travel through the tunnel, and the few facts of a packet that routing, filters
 * and NAT need. Implements RFC 791, 8200, 768, 9293, 792 and 4443 as far as headers go.
 *
 * Accepted are unfragmented packets of up to FZ_TUNNEL_MTU bytes and super-packets of up to FZ_SUPER_MAX
 * whose segments keep to that limit. Checksums are not verified; the packet is not changed. */
#ifndef WIRE_IP_H
#define WIRE_IP_H

#include "fzconn/addr.h"
#include "fzconn/packet.h"

/* IP protocol numbers. */
enum ip_proto {
	IP_PROTO_ICMP = 1,
	IP_PROTO_TCP = 6,
	IP_PROTO_UDP = 17,
	IP_PROTO_ICMP6 = 58,
	IP_PROTO_P2P = 255 /* control messages between Firezone nodes, wire/p2p.h */
};

/* What the packet is, for filters and flow tables. */
enum ip_kind {
	IP_TCP,
	IP_UDP,
	IP_ICMP_ECHO, /* echo request or reply, code 0 */
	IP_ICMP_OTHER, /* any other ICMP or ICMPv6 message, errors among them */
	IP_OTHER /* any other protocol */
};

/* The result of a parser: why a packet was refused, for counters. */
enum ip_reason {
	IP_OK = 0,
	IP_EMPTY, /* no bytes */
	IP_TOO_LONG, /* longer than the tunnel carries, or segments are */
	IP_VERSION, /* neither 4 nor 6 */
	IP_HEADER, /* header incomplete, or a header length that cannot be */
	IP_LENGTH, /* length field and packet disagree */
	IP_FRAGMENT, /* a fragment (RFC 6946: an atomic fragment is none) */
	IP_BAD_TCP,
	IP_BAD_UDP,
	IP_BAD_ICMP, /* incomplete, or ICMP of the other family */
	IP_OFFLOAD, /* offload facts that do not fit the packet */
	IP_REASONS /* number of reasons */
};

/* Short text for status output; never NULL. */
const char *ip_reason_text(enum ip_reason why);

/* TCP flags as in the header's 14th byte. */
enum ip_tcp_flag {
	IP_TCP_FIN = 0x01,
	IP_TCP_SYN = 0x02,
	IP_TCP_RST = 0x04,
	IP_TCP_PSH = 0x08,
	IP_TCP_ACK = 0x10,
	IP_TCP_URG = 0x20,
	IP_TCP_ECE = 0x40,
	IP_TCP_CWR = 0x80
};

/* ECN field, RFC 3168. */
enum ip_ecn { IP_ECN_NOT = 0, IP_ECN_ECT1 = 1, IP_ECN_ECT0 = 2, IP_ECN_CE = 3 };

/* Longest headers (IP with options or extensions, and transport) of a super-packet. */
#define IP_SUPER_HDR_MAX 192

/* Facts of one packet. Offsets count from the first byte of the IP header. */
struct ip_view {
	uint8_t version; /* 4 or 6 = enum fz_family */
	uint8_t proto; /* of the transport header, IPv6 extension headers skipped */
	uint8_t kind; /* enum ip_kind */
	uint8_t ecn; /* enum ip_ecn */
	uint16_t l3_len; /* offset of the transport header */
	uint16_t hdr_len; /* offset of the payload: behind the TCP, UDP or ICMP (8 bytes) header; l3_len for
			     others */
	uint32_t len; /* of the IP packet; WireGuard padding does not count */
	/* TCP, UDP: host byte order. ICMP echo: both are the identifier. Else 0. */
	uint16_t sport, dport;
	uint8_t tcp_flags; /* TCP only */
	uint8_t icmp_type, icmp_code; /* ICMP, ICMPv6 only */
	uint32_t tcp_seq; /* TCP only */
	struct fz_ip src, dst;
};

/* A packet or super-packet as a TUN device gives it; its length must be that of the IP header, and the
 * offload facts must be sound: cut.h relies on it. ret is of use only on IP_OK. */
enum ip_reason ip_parse(const struct fz_pkt *pkt, struct ip_view *ret);
/* An ordinary packet, as decryption gives it: bytes behind the length of the IP header are padding. The
 * packet is the first ret->len bytes. A keep-alive (no bytes) is IP_EMPTY. */
enum ip_reason ip_parse_plain(const uint8_t *data, size_t len, struct ip_view *ret);

/* A packet without offload facts. */
static inline struct fz_pkt ip_pkt(uint8_t *data, size_t len)
{
	return (struct fz_pkt){ .data = data, .len = len };
}

/* Only the IP header and the first bytes of the transport header, as an ICMP error quotes them: no length
 * checks beyond what is read, 4 bytes of TCP or UDP are enough, ICMP needs 8. */
enum ip_reason ip_parse_quote(const uint8_t *data, size_t len, struct ip_view *ret);

/* Take over congestion marks of the outer header (RFC 6040 as far as it loses nothing): CE outside makes an
 * ECN-capable inner packet CE; everything else stays. Corrects the IPv4 header checksum and view->ecn. */
void ip_ecn_merge(uint8_t *data, struct ip_view *view, uint8_t outer_ecn);

/* Rewriting, for NAT: addresses, ports, ICMP identifier. All checksums stay right: complete ones are updated
 * (RFC 1624, a result of 0 is written as 0xffff, a UDP checksum of 0 stays), pseudo-header sums of packets
 * with needs_csum likewise. The view follows. The new address must have the packet's family. */
void ip_set_src(struct fz_pkt *pkt, struct ip_view *view, const struct fz_ip *ip);
void ip_set_dst(struct fz_pkt *pkt, struct ip_view *view, const struct fz_ip *ip);
/* TCP, UDP: the source or destination port. ICMP echo: either sets the identifier. Else nothing. */
void ip_set_sport(struct fz_pkt *pkt, struct ip_view *view, uint16_t port);
void ip_set_dport(struct fz_pkt *pkt, struct ip_view *view, uint16_t port);

#endif
