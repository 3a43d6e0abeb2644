/*
 * Pipes: with data in them, resized, full, in packet mode, with one end closed, with both ends in two
 * tasks, non-blocking ends, and one end opened twice.
 *
 * Usage: pipes [stream]   without packet mode, which CRIU does not know
 */
#include "files.h"

struct pipe_ends {
	int r, w;
};

static struct pipe_ends make_pipe(int flags)
{
	int ends[2];

	if (pipe2(ends, flags))
		die("pipe2");
	return (struct pipe_ends){ ends[0], ends[1] };
}

static void put(int fd, size_t size, int seed)
{
	unsigned char data[65536];

	fill_bytes(data, size, seed);
	if (write(fd, data, size) != (ssize_t)size)
		die("write to a pipe");
}

static void check_data(const char *name, int fd, size_t size, int seed)
{
	unsigned char data[70000];
	ssize_t n = read_now(fd, data, sizeof(data));

	check(n == (ssize_t)size && bytes_are(data, size, seed), name, "%zd bytes instead of %zu, or others", n,
	      size);
}

int main(int argc, char **argv)
{
	unsigned char packet[4096];
	int packet_mode = argc > 1 && !strcmp(argv[1], "stream") ? 0 : O_DIRECT;

	subject_init();
	signal(SIGPIPE, SIG_IGN);
	struct pipe_ends empty = make_pipe(O_CLOEXEC), some = make_pipe(0), big = make_pipe(0);
	struct pipe_ends small = make_pipe(0), full = make_pipe(O_NONBLOCK), packets = make_pipe(packet_mode);
	struct pipe_ends no_writer = make_pipe(0), no_reader = make_pipe(0), between = make_pipe(0);
	struct pipe_ends back = make_pipe(0);

	put(some.w, 1000, 1);
	fcntl(big.w, F_SETPIPE_SZ, 256 * 1024);
	int big_size = fcntl(big.w, F_GETPIPE_SZ);
	for (int i = 0; i < 3; i++)
		put(big.w, 65536, 2 + i);
	fcntl(small.w, F_SETPIPE_SZ, 4096);
	put(small.w, 4096, 5);
	int filled = 0;
	while (write(full.w, "f", 1) == 1)
		filled++;
	for (int i = 1; i <= (packet_mode ? 3 : 1); i++)
		put(packets.w, i * 100, i);
	put(no_writer.w, 300, 6);
	close(no_writer.w);
	close(no_reader.r);
	int again = open("/proc/self/fd/0", O_RDONLY); /* keeps numbers from being dense */
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", some.w);
	int reopened = open(path, O_WRONLY | O_NONBLOCK);
	put(between.w, 500, 7);
	pid_t child = fork_child();
	if (child == 0) {
		close(between.w);
		close(back.r);
		wait_for_term();
		unsigned char data[1000];
		/* What was there at the freeze, then what the parent writes after SIGTERM, then the end. */
		check(read(between.r, data, 500) == 500 && bytes_are(data, 500, 7), "child: data", "other bytes");
		check(read(between.r, data, 1) == 1 && data[0] == 'Z', "child: later data", "other");
		check(read(between.r, data, 1) == 0, "child: end", "the pipe has another writer");
		check(write(back.w, "back", 4) == 4, "child: answer", "errno %d", errno);
		child_finish();
	}
	close(between.r);
	close(back.w);
	close(again);
	fact("child", "%d", child);
	ready();
	wait_for_term();

	check(read_now(empty.r, packet, 1) == -1 && errno == EAGAIN, "empty", "errno %d", errno);
	check_equal("close-on-exec", fcntl(empty.r, F_GETFD) == FD_CLOEXEC && fcntl(some.r, F_GETFD) == 0, 1);
	put(reopened, 1, 99);
	unsigned char data[2000];
	check(read(some.r, data, 2000) == 1001 && bytes_are(data, 1000, 1) && data[1000] == byte_at(99, 0),
	      "with data, end opened twice", "other bytes");
	check_equal("opened again: flags", fcntl(reopened, F_GETFL) & (O_ACCMODE | O_NONBLOCK),
		    O_WRONLY | O_NONBLOCK);
	check_equal("first opening: flags", fcntl(some.w, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_WRONLY);
	check_equal("resized to be big", fcntl(big.r, F_GETPIPE_SZ), big_size);
	for (int i = 0; i < 3; i++) {
		static unsigned char chunk[65536];
		ssize_t n = read_now(big.r, chunk, sizeof(chunk));
		check(n == 65536 && bytes_are(chunk, 65536, 2 + i), "big: data", "chunk %d: %zd bytes", i, n);
	}
	check_equal("resized to be small", fcntl(small.r, F_GETPIPE_SZ), 4096);
	check_data("small: data", small.r, 4096, 5);
	check(write(full.w, "f", 1) == -1 && errno == EAGAIN, "full", "there is room");
	int drained = 0;
	while (read(full.r, packet, 1) == 1 && packet[0] == 'f')
		drained++;
	check_equal("full: data", drained, filled);
	check_equal("packet mode", fcntl(packets.w, F_GETFL) & O_DIRECT, packet_mode);
	for (int i = 1; i <= (packet_mode ? 3 : 1); i++)
		check_data("packet", packets.r, i * 100, i);
	check_data("half closed: data", no_writer.r, 300, 6);
	check_equal("half closed: end", read_now(no_writer.r, packet, 1), 0);
	check(write(no_reader.w, "x", 1) == -1 && errno == EPIPE, "no reader", "errno %d", errno);
	kill(child, SIGTERM);
	if (write(between.w, "Z", 1) != 1)
		die("write");
	close(between.w);
	check(read(back.r, packet, 16) == 4 && !memcmp(packet, "back", 4), "child's answer", "other");
	end_child("child", child);
	check_equal("end after the child", read(back.r, packet, 1), 0);
	finish();
}
