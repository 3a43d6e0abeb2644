/* Echoes what comes over TCP. Its port is a fact. */
#include "inet.h"

#define MOST 64

/* A call that is interrupted may have sent a part. */
static bool send_all(int fd, const char *bytes, ssize_t left)
{
	while (left > 0) {
		ssize_t n = send(fd, bytes, left, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		bytes += n;
		left -= n;
	}
	return true;
}

int main(void)
{
	static char bytes[65536];
	struct pollfd all[MOST] = { 0 };
	int count = 1;

	subject_init();
	all[0].fd = new_inet(AF_INET6, SOCK_STREAM);
	all[0].events = POLLIN;
	bind_end(all[0].fd, make_end(AF_INET6, "::", 0));
	if (listen(all[0].fd, MOST))
		die("listen");
	say("port=%d", ntohs(own_end(all[0].fd).at.six.sin6_port));
	ready();
	while (!term_requested) {
		poll(all, count, 100);
		if ((all[0].revents & POLLIN) && count < MOST) {
			all[count].fd = accept(all[0].fd, NULL, NULL);
			all[count].revents = 0;
			all[count++].events = POLLIN;
		}
		for (int i = 1; i < count; i++) {
			if (!all[i].revents)
				continue;
			ssize_t n = recv(all[i].fd, bytes, sizeof(bytes), 0);
			if (n > 0 && send_all(all[i].fd, bytes, n))
				continue;
			check(n == 0, "a connection", "recv gives %zd, errno %d", n, errno);
			close(all[i].fd);
			all[i--] = all[--count];
		}
	}
	check(true, "came to its end", "-");
	finish();
}
