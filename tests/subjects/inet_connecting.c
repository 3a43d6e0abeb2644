/*
 * A TCP connection that is being made: nobody answers.
 */
#include "inet.h"

static int state_of(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ? -errno : info.tcpi_state;
}

int main(void)
{
	subject_init();
	/* An address of the documentation's (RFC 5737): nobody has it. */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct end to = make_end(AF_INET, "192.0.2.1", 80);

	if (fd < 0)
		die("socket");
	set_inet_option(fd, IPPROTO_TCP, TCP_SYNCNT, 100);
	if (connect(fd, &to.at.any, to.len) == 0 || errno != EINPROGRESS) {
		say("unsupported there is no route to nowhere");
		exit(UNSUPPORTED);
	}
	sleep_ms(20);
	if (state_of(fd) != TCP_SYN_SENT) {
		say("unsupported somebody answers for 192.0.2.1");
		exit(UNSUPPORTED);
	}
	struct end own = own_end(fd);
	ready();
	wait_for_term();

	check_equal("SYN_SENT", state_of(fd), TCP_SYN_SENT);
	check(is_end(own_end(fd), own), "its address", "it has another");
	check_fails("it is asked again", connect(fd, &to.at.any, to.len), EALREADY);
	finish();
}
