/*
 * So many of one thing, at rest: what a checkpoint costs by the number of threads, processes, descriptors of
 * each kind, mappings. Nothing in it wakes up by itself, so the processor's time is the tool's.
 * Usage: many KIND N [PROCESSES=1], where each of the processes has its share of the N
 */
#include "files.h"
#include "mem.h"

#include <pthread.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

/* A kind of thing. `make` and `right` get a number that no other thing of the tree has. */
struct kind {
	const char *name;
	void (*begin)(long count);
	void (*make)(long slot, long number);
	bool (*right)(long slot, long number);
};

/* What one process has: two descriptors for each thing, where it is one of descriptors. */
static int (*fds)[2];
static char *memory;
static size_t memory_size;

/* Waits for SIGTERM without ever waking up; a signal before the call makes the value another one. */
static void rest(void)
{
	while (!term_requested)
		syscall(SYS_futex, &term_requested, FUTEX_WAIT_PRIVATE, 0, NULL);
}

static void on_term_wake(int sig)
{
	on_term(sig);
	syscall(SYS_futex, &term_requested, FUTEX_WAKE_PRIVATE, INT32_MAX);
}

static int must(int fd, const char *what)
{
	if (fd < 0)
		die("%s", what);
	return fd;
}

static int message(char *text, long number)
{
	return sprintf(text, "number %ld", number);
}

static void send_message(int fd, long number)
{
	char text[32];
	int size = message(text, number);

	if (write(fd, text, size) != size)
		die("write");
}

static bool has_message(int fd, long number)
{
	char text[32], want[32];
	int size = message(want, number);

	return read_now(fd, text, sizeof(text)) == size && !memcmp(text, want, size);
}

static void begin_descriptors(long count)
{
	fds = calloc(count, sizeof(*fds));
}

static void make_regular(long slot, long number)
{
	char name[32];

	sprintf(name, "file-%ld", number);
	fds[slot][0] = must(open(name, O_CREAT | O_RDWR, 0644), name);
	send_message(fds[slot][0], number);
}

/* Its place is behind what it holds. */
static bool right_file(long slot, long number)
{
	char want[32];
	bool at_end = lseek(fds[slot][0], 0, SEEK_CUR) == message(want, number);

	return at_end && lseek(fds[slot][0], 0, SEEK_SET) == 0 && has_message(fds[slot][0], number);
}

static void make_ghost(long slot, long number)
{
	char name[32];

	make_regular(slot, number);
	sprintf(name, "file-%ld", number);
	unlink(name);
}

static void make_memfd(long slot, long number)
{
	fds[slot][0] = must(memfd_create("many", MFD_CLOEXEC), "memfd_create");
	send_message(fds[slot][0], number);
}

static void make_pipe(long slot, long number)
{
	must(pipe(fds[slot]), "pipe");
	send_message(fds[slot][1], number);
}

static bool right_pipe(long slot, long number)
{
	return has_message(fds[slot][0], number);
}

static void make_fifo(long slot, long number)
{
	char name[32];

	sprintf(name, "fifo-%ld", number);
	must(mkfifo(name, 0644), name);
	fds[slot][0] = must(open(name, O_RDWR), name);
	send_message(fds[slot][0], number);
}

static void make_stream(long slot, long number)
{
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, fds[slot]), "socketpair");
	send_message(fds[slot][1], number);
}

static void make_datagram(long slot, long number)
{
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds[slot]), "socketpair");
	send_message(fds[slot][1], number);
}

static socklen_t listener_address(struct sockaddr_un *address, long number)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	return offsetof(struct sockaddr_un, sun_path) +
	       sprintf(address->sun_path, "listener-%ld", number) + 1;
}

static void make_listener(long slot, long number)
{
	struct sockaddr_un address;
	socklen_t size = listener_address(&address, number);

	fds[slot][0] = must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
	must(bind(fds[slot][0], (void *)&address, size), "bind");
	must(listen(fds[slot][0], 5), "listen");
}

static bool right_listener(long slot, long number)
{
	struct sockaddr_un address, own;
	socklen_t size = listener_address(&address, number), own_size = sizeof(own);
	int client = must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
	bool right = !getsockname(fds[slot][0], (void *)&own, &own_size) && own_size == size &&
		     !memcmp(&own, &address, size) && !connect(client, (void *)&address, size);

	close(client);
	return right;
}

static void make_eventfd(long slot, long number)
{
	fds[slot][0] = must(eventfd(number, EFD_NONBLOCK), "eventfd");
}

static bool right_eventfd(long slot, long number)
{
	uint64_t value = 0;
	ssize_t n = read(fds[slot][0], &value, 8);

	return number ? n == 8 && value == (uint64_t)number : n < 0;
}

static void make_timerfd(long slot, long number)
{
	struct itimerspec far = { .it_value.tv_sec = 1000000 + number };

	fds[slot][0] = must(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), "timerfd_create");
	must(timerfd_settime(fds[slot][0], 0, &far, NULL), "timerfd_settime");
}

static bool right_timerfd(long slot, long number)
{
	struct itimerspec left;
	long want = 1000000 + number;

	return !timerfd_gettime(fds[slot][0], &left) && left.it_value.tv_sec <= want &&
	       left.it_value.tv_sec > want - 3600;
}

static void make_signalfd(long slot, long number)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + number % 16);
	fds[slot][0] = must(signalfd(-1, &set, SFD_NONBLOCK), "signalfd");
}

static bool right_signalfd(long slot, long number)
{
	char mask[64];
	unsigned long bit = 1ul << (SIGRTMIN + number % 16 - 1);

	return fdinfo(fds[slot][0], "sigmask", mask, sizeof(mask)) && strtoul(mask, NULL, 16) == bit;
}

static void watch(int epoll, int fd, long number)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = number };

	must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "EPOLL_CTL_ADD");
}

static bool tells(int epoll, long number)
{
	struct epoll_event event;

	return epoll_wait(epoll, &event, 1, 0) == 1 && event.data.u64 == (uint64_t)number;
}

/* Each with one entry, an eventfd that is ready. */
static void make_epoll(long slot, long number)
{
	fds[slot][0] = must(epoll_create1(0), "epoll_create1");
	fds[slot][1] = must(eventfd(1, 0), "eventfd");
	watch(fds[slot][0], fds[slot][1], number);
}

static bool right_epoll(long slot, long number)
{
	return tells(fds[slot][0], number);
}

/* All of them in one epoll; none is ready. */
static int epoll;

static void begin_entries(long count)
{
	begin_descriptors(count);
	epoll = must(epoll_create1(0), "epoll_create1");
}

static void make_entry(long slot, long number)
{
	fds[slot][0] = must(eventfd(0, EFD_NONBLOCK), "eventfd");
	watch(epoll, fds[slot][0], number);
}

static bool right_entry(long slot, long number)
{
	uint64_t one = 1;
	bool right = write(fds[slot][0], &one, 8) == 8 && tells(epoll, number);

	return read(fds[slot][0], &one, 8) == 8 && right;
}

/* The number that it was added under is closed again; a duplicate keeps the file. */
static void make_closed_entry(long slot, long number)
{
	int fd = must(eventfd(0, EFD_NONBLOCK), "eventfd");

	fds[slot][0] = must(fcntl(fd, F_DUPFD, fd + 1), "F_DUPFD");
	watch(epoll, fd, number);
	close(fd);
}

static void begin_mappings(long count)
{
	memory_size = count * PAGE;
	memory = map(NULL, memory_size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

/* Every second one is read-only: none can be one with its neighbour. */
static void make_mapping(long slot, long number)
{
	char *page = memory + slot * PAGE;

	*(uint64_t *)page = word_at(number, 0);
	if (slot % 2 && mprotect(page, PAGE, PROT_READ))
		die("mprotect(%ld): more than vm.max_map_count?", slot);
}

static bool right_mapping(long slot, long number)
{
	return *(uint64_t *)(memory + slot * PAGE) == word_at(number, 0);
}

/* The same page of one file again and again, each a mapping of its own. */
static void begin_file_mappings(long count)
{
	char page[PAGE];
	int fd = must(open("mapped", O_CREAT | O_RDWR, 0644), "mapped");

	memory_size = count * PAGE;
	memory = map(NULL, memory_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	fill_page(page, 7, 0);
	if (pwrite(fd, page, PAGE, 0) != (ssize_t)PAGE)
		die("pwrite");
	for (long slot = 0; slot < count; slot++)
		map(memory + slot * PAGE, PAGE, PROT_READ, (slot % 2 ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED,
		    fd, 0);
	close(fd);
}

static bool right_file_mapping(long slot, long number)
{
	(void)number;
	return page_is(memory + slot * PAGE, 7, 0);
}

/* Of these a thing is a MiB. */
#define MIB (1ul << 20)

static void begin_memory(long count, int advice)
{
	memory_size = count * MIB;
	memory = map(NULL, memory_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (madvise(memory, memory_size, advice))
		die("madvise");
}

static void begin_small_pages(long count)
{
	begin_memory(count, MADV_NOHUGEPAGE);
}

static void begin_huge_pages(long count)
{
	begin_memory(count, MADV_HUGEPAGE);
}

static void make_mib(long slot, long number)
{
	fill_pages(memory + slot * MIB, MIB, number);
}

static bool right_mib(long slot, long number)
{
	for (size_t at = 0; at < MIB; at += PAGE)
		if (!page_is(memory + slot * MIB + at, number, at))
			return false;
	return true;
}

/* Address space that nobody has touched: one half could be written, the other not. */
static void begin_reserved(long count)
{
	memory_size = count * MIB;
	memory = map(NULL, memory_size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mprotect(memory, memory_size / 2 / PAGE * PAGE, PROT_NONE))
		die("mprotect");
}

static bool right_reserved(long slot, long number)
{
	unsigned char resident = 0;

	(void)number;
	return !mincore(memory + slot * MIB, PAGE, &resident) && !(resident & 1);
}

struct thread {
	pthread_t thread;
	pid_t tid;
	bool right;
};

static struct thread *threads;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long started;
static bool stop;
static __thread struct thread *own_thread;

static void *run_thread(void *self)
{
	own_thread = self;
	own_thread->tid = own_tid();
	pthread_mutex_lock(&mutex);
	started++;
	while (!stop)
		pthread_cond_wait(&changed, &mutex);
	pthread_mutex_unlock(&mutex);
	own_thread->right = own_thread == self && own_thread->tid == own_tid();
	return NULL;
}

static void begin_threads(long count)
{
	threads = calloc(count, sizeof(*threads));
}

static void make_thread(long slot, long number)
{
	pthread_attr_t attributes;
	long seen = -1;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 65536);
	int error = pthread_create(&threads[slot].thread, &attributes, run_thread, &threads[slot]);
	if (error) {
		errno = error;
		die("pthread_create(%ld)", number);
	}
	while (seen <= slot) {
		pthread_mutex_lock(&mutex);
		seen = started;
		pthread_mutex_unlock(&mutex);
	}
}

static bool right_thread(long slot, long number)
{
	(void)number;
	pthread_mutex_lock(&mutex);
	stop = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
	pthread_join(threads[slot].thread, NULL);
	return threads[slot].right;
}

static void nothing(long slot, long number)
{
	(void)slot, (void)number;
}

static void begin_nothing(long count)
{
	(void)count;
}

static pid_t root;

/* The processes themselves are the things: each has its parent. */
static bool right_process(long slot, long number)
{
	(void)slot;
	return number == 0 || getppid() == root;
}

static const struct kind kinds[] = {
	{ "processes", begin_nothing, nothing, right_process },
	{ "threads", begin_threads, make_thread, right_thread },
	{ "files", begin_descriptors, make_regular, right_file },
	{ "ghosts", begin_descriptors, make_ghost, right_file },
	{ "memfds", begin_descriptors, make_memfd, right_file },
	{ "pipes", begin_descriptors, make_pipe, right_pipe },
	{ "fifos", begin_descriptors, make_fifo, right_pipe },
	{ "streams", begin_descriptors, make_stream, right_pipe },
	{ "datagrams", begin_descriptors, make_datagram, right_pipe },
	{ "listeners", begin_descriptors, make_listener, right_listener },
	{ "eventfds", begin_descriptors, make_eventfd, right_eventfd },
	{ "timerfds", begin_descriptors, make_timerfd, right_timerfd },
	{ "signalfds", begin_descriptors, make_signalfd, right_signalfd },
	{ "epolls", begin_descriptors, make_epoll, right_epoll },
	{ "entries", begin_entries, make_entry, right_entry },
	{ "closed_entries", begin_entries, make_closed_entry, right_entry },
	{ "mappings", begin_mappings, make_mapping, right_mapping },
	{ "file_mappings", begin_file_mappings, nothing, right_file_mapping },
	{ "small_pages", begin_small_pages, make_mib, right_mib },
	{ "huge_pages", begin_huge_pages, make_mib, right_mib },
	{ "reserved", begin_reserved, nothing, right_reserved },
};

static const struct kind *kind;
static long per_process;

/* One process from its set-up to its end; number `index` of them. */
static void live(long index, volatile int *settled)
{
	long wrong = 0;

	kind->begin(per_process);
	for (long slot = 0; slot < per_process; slot++)
		kind->make(slot, index * per_process + slot);
	if (settled)
		__sync_fetch_and_add(settled, 1);
	if (index == 0) {
		while (settled && *settled < 0)
			sleep_ms(1);
		ready();
	}
	rest();
	for (long slot = 0; slot < per_process; slot++)
		wrong += !kind->right(slot, index * per_process + slot);
	check_equal(index ? "wrong in a child" : "wrong in the root", wrong, 0);
}

int main(int argc, char **argv)
{
	const char *name = arg(argc, argv, 1, "files");
	long n = atol(arg(argc, argv, 2, "10")), processes = atol(arg(argc, argv, 3, "1"));
	struct sigaction act = { .sa_handler = on_term_wake, .sa_flags = SA_RESTART };
	struct rlimit limit;
	volatile int *settled = NULL;

	if (sigaction(SIGTERM, &act, NULL))
		die("sigaction(SIGTERM)");
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kinds[i].name, name))
			kind = &kinds[i];
	if (!kind)
		die("%s is no kind", name);
	root = getpid();
	per_process = n / processes;
	pid_t *children = calloc(processes, sizeof(*children));
	if (processes > 1) {
		settled = (int *)map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		*settled = -processes;
	}
	for (long i = 1; i < processes; i++) {
		children[i] = fork_child();
		if (children[i] == 0) {
			live(i, settled);
			child_finish();
		}
	}
	live(0, settled);
	for (long i = 1; i < processes; i++)
		kill(children[i], SIGTERM);
	for (long i = 1; i < processes; i++) {
		int status = -1;

		failures += waitpid(children[i], &status, 0) != children[i] || status != 0;
	}
	finish();
}
