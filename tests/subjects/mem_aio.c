/*
 * Contexts of asynchronous I/O: one that is new, one whose ring has gone round with events that nobody has taken, a
 * large one, one that a thread waits for, one in a child; each goes on under its old name, with the events that wait, and takes new requests.
 * With "busy": a thread that reads a file past its cache (O_DIRECT), so that requests are under way nearly always.
 * With "many": more of one request each than the machine would allow if each were of as many as its ring has room for.
 */
#include "files.h"

#include <linux/aio_abi.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

struct ring {
	unsigned id, nr, head, tail, magic, compat, incompat, size;
};

static int sink;

static aio_context_t setup(unsigned requests)
{
	aio_context_t context = 0;

	if (syscall(SYS_io_setup, requests, &context) < 0)
		die("io_setup");
	return context;
}

static long submit(aio_context_t context, int fd, unsigned long cookie, int event)
{
	static char data[1];
	struct iocb request = {
		.aio_data = cookie,
		.aio_lio_opcode = IOCB_CMD_PWRITE,
		.aio_fildes = fd,
		.aio_buf = (unsigned long)data,
		.aio_nbytes = 1,
		.aio_flags = event < 0 ? 0 : IOCB_FLAG_RESFD,
		.aio_resfd = event < 0 ? 0 : event,
	};
	struct iocb *requests[] = { &request };

	return syscall(SYS_io_submit, context, 1L, requests);
}

/* The cookie of the next event; 0 if there is none. */
static unsigned long take(aio_context_t context)
{
	struct io_event event;
	struct timespec now = { 0 };

	return syscall(SYS_io_getevents, context, 0L, 1L, &event, &now) == 1 ? event.data : 0;
}

/* As many requests, of which all but the last `left` are taken. */
static void turn(aio_context_t context, unsigned count, unsigned left)
{
	for (unsigned i = 1; i <= count; i++) {
		if (submit(context, sink, i, -1) != 1)
			die("io_submit");
		if (i > left && take(context) != i - left)
			die("io_getevents");
	}
}

static void check_turned(const char *name, aio_context_t context, struct ring was, unsigned count, unsigned left)
{
	struct ring *ring = (struct ring *)context;

	check(ring->nr == was.nr && ring->head == was.head && ring->tail == was.tail, name,
	      "it has %u of %u to %u, and had %u of %u to %u", ring->head, ring->nr, ring->tail, was.head, was.nr,
	      was.tail);
	check(submit(context, sink, 4711, -1) == 1, name, "no request can be made, errno %d", errno);
	for (unsigned i = count - left + 1; i <= count; i++) {
		unsigned long cookie = take(context);
		check(cookie == i, name, "event %lu instead of %u", cookie, i);
	}
	check(take(context) == 4711 && take(context) == 0, name, "the new event is another one");
	/* Once more around: the kernel counts what there is room for. */
	for (unsigned i = 1; i <= was.nr + 3; i++)
		check(submit(context, sink, i, -1) == 1 && take(context) == i, name, "request %u", i);
}

/* Unmaps the ring of a parent, which a child can do nothing with. */
static void forget(aio_context_t context)
{
	struct ring *ring = (struct ring *)context;

	munmap(ring, (sizeof(*ring) + 32L * ring->nr + 4095) & -4096);
}

static aio_context_t awaited;
static unsigned long came;

/* Waits for an event of that context. */
static void *waiter(void *arg)
{
	struct io_event event;

	while (syscall(SYS_io_getevents, awaited, 1L, 1L, &event, NULL) != 1)
		if (errno != EINTR)
			return arg;
	came = event.data;
	return arg;
}

enum { MANY = 1100 };

/* Each is made for one request, in a ring that has room for 62 or more: 65,536 are allowed where nobody says more. */
static int main_many(void)
{
	static aio_context_t contexts[MANY];

	for (int i = 0; i < MANY; i++)
		contexts[i] = setup(1);
	ready();
	wait_for_term();
	for (int i = 0; i < MANY; i++)
		check(submit(contexts[i], sink, i + 1, -1) == 1 && take(contexts[i]) == (unsigned long)i + 1, "many",
		      "context %d", i);
	finish();
}

enum { REQUESTS = 1000, PIECE = 256 << 10, PIECES = 32 };

static volatile bool enough, over;
static volatile int rounds;
static int direct;

/* What is at a place of the file. */
static unsigned char content(size_t at)
{
	return 1 + at / 4096 % 251;
}

/* Asks for the whole file many times at once, and waits for all of that, over and over. */
static void *reader(void *arg)
{
	aio_context_t context = setup(REQUESTS);
	unsigned char *memory =
		mmap(NULL, PIECES * PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (; !enough; rounds++) {
		static struct iocb all[REQUESTS], *requests[REQUESTS];
		bool came_once[REQUESTS] = { false };

		memset(memory, 0, PIECES * PIECE);
		for (int i = 0; i < REQUESTS; i++) {
			requests[i] = &all[i];
			all[i].aio_data = i;
			all[i].aio_lio_opcode = IOCB_CMD_PREAD;
			all[i].aio_fildes = direct;
			all[i].aio_buf = (unsigned long)memory + i % PIECES * PIECE;
			all[i].aio_nbytes = PIECE;
			all[i].aio_offset = i % PIECES * PIECE;
		}
		for (int sent = 0; sent < REQUESTS;) {
			long n = syscall(SYS_io_submit, context, (long)(REQUESTS - sent), requests + sent);
			if (n < 0 && errno != EINTR)
				die("io_submit");
			sent += n > 0 ? n : 0;
		}
		for (int left = REQUESTS; left > 0;) {
			struct io_event events[REQUESTS];
			struct timespec patience = { 30, 0 };
			long n = syscall(SYS_io_getevents, context, 1L, (long)left, events, &patience);
			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0) {
				check(false, "busy", "%d of %d requests of round %d got lost", left, REQUESTS, rounds);
				return over = true, arg;
			}
			for (long i = 0; i < n; i++) {
				if (came_once[events[i].data] || events[i].res != PIECE)
					check(false, "event", "of %lld: %lld", (long long)events[i].data,
					      (long long)events[i].res);
				came_once[events[i].data] = true;
			}
			left -= n;
		}
		for (size_t at = 0; at < PIECES * PIECE; at += 4096)
			if (memory[at] != content(at) || memory[at + 4095] != content(at)) {
				check(false, "read", "%d at %zu in round %d", memory[at], at, rounds);
				return over = true, arg;
			}
	}
	return arg;
}

static int main_busy(void)
{
	static unsigned char page[4096];
	pthread_t thread;
	int file = open("file", O_RDWR | O_CREAT, 0600);

	for (size_t at = 0; at < PIECES * PIECE; at += sizeof(page)) {
		memset(page, content(at), sizeof(page));
		if (write(file, page, sizeof(page)) != sizeof(page))
			die("write");
	}
	if (fsync(file))
		die("fsync");
	close(file);
	direct = open("file", O_RDONLY | O_DIRECT);
	if (direct < 0)
		unsupported("no O_DIRECT on this file system");
	if (pthread_create(&thread, NULL, reader, NULL))
		die("pthread_create");
	while (rounds < 2)
		sleep_ms(1);
	ready();
	wait_for_term();
	for (int before = rounds; rounds < before + 2 && !over;)
		sleep_ms(1);
	enough = true;
	pthread_join(thread, NULL);
	check(!over, "busy", "after %d rounds", rounds);
	finish();
}

int main(int argc, char **argv)
{
	pthread_t thread;

	subject_init();
	sink = open("/dev/null", O_WRONLY);
	if (strcmp(arg(argc, argv, 1, ""), "many") == 0)
		return main_many();
	if (strcmp(arg(argc, argv, 1, ""), "busy") == 0)
		return main_busy();
	aio_context_t fresh = setup(1), turned = setup(64), large = setup(3000), gone = setup(8);
	unsigned room = ((struct ring *)turned)->nr;
	turn(turned, room + 40, room / 2);
	turn(large, 5000, 17);
	struct ring at_turned = *(struct ring *)turned, at_large = *(struct ring *)large;
	if (at_turned.tail > at_turned.head)
		die("the ring has not gone round");
	int file = open("file", O_RDWR | O_CREAT, 0600), event = eventfd(0, EFD_NONBLOCK);

	syscall(SYS_io_destroy, gone);
	int ends[2];
	if (pipe(ends) < 0)
		die("pipe");
	pid_t child = fork_child();
	if (child == 0) {
		close(ends[0]);
		forget(fresh);
		forget(turned);
		forget(large);
		aio_context_t own = setup(4);
		turn(own, 9, 2);
		struct ring at_own = *(struct ring *)own;
		close(ends[1]);
		wait_for_term();
		check_turned("child", own, at_own, 9, 2);
		child_finish();
	}
	close(ends[1]);
	char none;
	/* The child has closed its end: it has what it is to have. */
	if (read(ends[0], &none, 1) != 0)
		die("read");
	close(ends[0]);
	awaited = setup(2);
	if (pthread_create(&thread, NULL, waiter, NULL))
		die("pthread_create");
	ready();
	wait_for_term();
	check(take(fresh) == 0, "fresh", "it has an event");
	check(submit(fresh, file, 5, event) == 1, "fresh_submit", "errno %d", errno);
	check_equal("fresh_event", take(fresh), 5);
	unsigned long count = 0;
	check(read(event, &count, sizeof(count)) == sizeof(count) && count == 1, "eventfd", "%lu", count);
	check_turned("turned", turned, at_turned, room + 40, room / 2);
	check_turned("large", large, at_large, 5000, 17);
	check(submit(awaited, sink, 23, -1) == 1, "awaited_submit", "errno %d", errno);
	pthread_join(thread, NULL);
	check_equal("awaited", came, 23);
	check(syscall(SYS_io_destroy, turned) == 0, "destroy", "errno %d", errno);
	end_child("child", child);
	finish();
}
