/*
 * Raw, ICMP and UDP-Lite sockets.
 */
#include "inet.h"

#include <linux/icmp.h>

#ifndef UDPLITE_SEND_CSCOV
#define UDPLITE_SEND_CSCOV 10
#endif

int main(void)
{
	struct end none = { 0 };
	/* Nothing is to wait in it. */
	struct icmp_filter filter = { ~0u };

	subject_init();
	int raw = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), own = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	int lite = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
	if (raw < 0 || own < 0)
		die("raw sockets");
	if (setsockopt(raw, SOL_RAW, ICMP_FILTER, &filter, sizeof(filter)))
		die("ICMP_FILTER");
	bind_end(raw, make_end(AF_INET, "127.0.0.1", 0));
	set_inet_option(own, IPPROTO_IP, IP_TTL, 3);
	connect_end(own, make_end(AF_INET, "127.0.0.1", 0));
	if (lite >= 0) {
		set_inet_option(lite, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, 20);
		bind_end(lite, make_end(AF_INET, "127.0.0.1", 0));
	}
	struct end end_raw = own_end(raw), end_own = own_end(own), end_lite = lite < 0 ? none : own_end(lite);
	/* Where no port is said getpeername() does not tell of it: only from there does it get something. */
	int from = socket(AF_INET, SOCK_RAW, 253), strange = socket(AF_INET, SOCK_RAW, 253);
	int heard = socket(AF_INET, SOCK_RAW, 253);
	bind_end(from, make_end(AF_INET, "127.0.0.6", 0));
	bind_end(strange, make_end(AF_INET, "127.0.0.7", 0));
	bind_end(heard, make_end(AF_INET, "127.0.0.8", 0));
	connect_end(heard, make_end(AF_INET, "127.0.0.6", 0));
	connect_end(from, make_end(AF_INET, "127.0.0.8", 0));
	connect_end(strange, make_end(AF_INET, "127.0.0.8", 0));
	ready();
	wait_for_term();

	check_ends("raw", raw, end_raw, none);
	check_ends("raw and connected", own, end_own, none);
	send_data(strange, 10, 1);
	send_data(from, 20, 2);
	char bytes[64];
	check_equal("raw: from whom it is connected to alone", recv(heard, bytes, sizeof(bytes), 0), 40);
	check_equal("raw: nothing more", recv(heard, bytes, sizeof(bytes), MSG_DONTWAIT), -1);
	struct icmp_filter got = { 0 };
	socklen_t len = sizeof(got);
	getsockopt(raw, SOL_RAW, ICMP_FILTER, &got, &len);
	check_equal("ICMP_FILTER", got.data, filter.data);
	check_equal("IP_HDRINCL", inet_option(own, IPPROTO_IP, IP_HDRINCL), 1);
	check_equal("IP_TTL", inet_option(own, IPPROTO_IP, IP_TTL), 3);
	if (lite >= 0) {
		check_ends("UDP-Lite", lite, end_lite, none);
		check_equal("UDPLITE_SEND_CSCOV", inet_option(lite, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV), 20);
	}
	finish();
}
