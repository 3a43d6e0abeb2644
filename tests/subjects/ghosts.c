/*
 * Deleted files of all kinds: with holes, set-user-id, two names, two descriptors of one file in two tasks,
 * mapped shared and privately, in a deleted directory, under a name that another file has taken; one that
 * keeps another name, one of O_TMPFILE that can still be linked, a fifo with data, a symbolic link, a device,
 * a directory that is open and worked in; shared anonymous memory that is open as a file, and namespaces.
 */
#include "files.h"

#include <sys/mman.h>
#include <sys/sysmacros.h>

#define CHUNK 5000
#define HOLE (1 << 20)

static int must_open(const char *path, int flags)
{
	int fd = open(path, flags, 0644);
	if (fd < 0)
		die("open %s", path);
	return fd;
}

static void must(int result, const char *what)
{
	if (result < 0)
		die("%s", what);
}

static void put(int fd, int seed)
{
	unsigned char data[CHUNK];

	fill_bytes(data, CHUNK, seed);
	if (write(fd, data, CHUNK) != CHUNK)
		die("write");
}

static void check_content(const char *name, int fd, off_t at, int seed)
{
	unsigned char data[CHUNK];

	check(pread(fd, data, CHUNK, at) == CHUNK && bytes_are(data, CHUNK, seed), name, "other bytes at %ld",
	      (long)at);
}

static void check_same(const char *name, int a, int b)
{
	struct stat x = { 0 }, y = { 0 };

	fstat(a, &x);
	fstat(b, &y);
	check(x.st_dev == y.st_dev && x.st_ino == y.st_ino && x.st_ino, name, "inodes %lu and %lu",
	      (unsigned long)x.st_ino, (unsigned long)y.st_ino);
}

static void check_link(const char *name, int fd, const char *end)
{
	char path[64], target[4096] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	size_t length = strlen(end);
	check(n >= (ssize_t)length && !strcmp(target + n - length, end), name, "it is %s", target);
}

int main(void)
{
	struct timespec times[2] = { { 1000000001, 111111000 }, { 1500000002, 222222000 } };
	struct stat st;

	subject_init();
	umask(0);

	/* A hole between two pieces, and the rest of a file behind the last. */
	int holes = must_open("holes", O_RDWR | O_CREAT | O_APPEND);
	put(holes, 1);
	must(ftruncate(holes, HOLE), "ftruncate");
	put(holes, 2);
	must(ftruncate(holes, 2 * HOLE), "ftruncate");
	must(fchown(holes, 1234, 2345), "fchown");
	must(fchmod(holes, 06751), "fchmod");
	int reader = must_open("holes", O_RDONLY | O_NOFOLLOW);
	lseek(reader, 77, SEEK_SET);
	must(unlink("holes"), "unlink");

	/* Two names, both deleted; the first one is another file's by now. */
	int one = must_open("one", O_RDWR | O_CREAT);
	put(one, 3);
	must(link("one", "two"), "link");
	int two = must_open("two", O_RDONLY);
	must(unlink("one"), "unlink");
	must(unlink("two"), "unlink");
	int taken = must_open("one", O_RDWR | O_CREAT | O_EXCL);
	put(taken, 4);

	/* One of two names is left. */
	int kept = must_open("kept", O_RDWR | O_CREAT);
	put(kept, 5);
	must(link("kept", "other"), "link");
	must(unlink("kept"), "unlink");

	int tmpfile = must_open(".", O_RDWR | O_TMPFILE | O_APPEND);
	put(tmpfile, 6);

	/* A directory, a file in it, both gone; a child works in it. */
	must(mkdir("gone", 0750), "mkdir");
	must(mkdir("gone/deep", 0710), "mkdir");
	int inside = must_open("gone/deep/file", O_RDWR | O_CREAT);
	put(inside, 7);
	must(unlink("gone/deep/file"), "unlink");
	int directory = must_open("gone/deep", O_RDONLY | O_DIRECTORY);
	int ends[2];
	must(pipe(ends), "pipe");
	pid_t child = fork_child();
	if (!child) {
		must(chdir("gone/deep"), "chdir");
		close(ends[0]);
		close(ends[1]);
		/* A description of its own of a file that the parent has too. */
		int own = must_open("/proc/self/fd/3", O_RDWR);
		while (!term_requested)
			sleep_ms(10);
		struct stat here;
		must(stat("/proc/self/cwd", &here), "stat");
		fstat(directory, &st);
		check(here.st_ino == st.st_ino, "cwd", "the directory is another one");
		check_equal("cwd_mode", here.st_mode, S_IFDIR | 0710);
		check_same("child_same", own, holes);
		put(own, 8);
		child_finish();
	}
	close(ends[1]);
	char none;
	/* The child has closed its end: it works in the directory. */
	if (read(ends[0], &none, 1) != 0)
		die("read");
	close(ends[0]);
	must(rmdir("gone/deep"), "rmdir");
	must(rmdir("gone"), "rmdir");

	must(mkfifo("fifo", 0620), "mkfifo");
	int fifo = must_open("fifo", O_RDWR | O_NONBLOCK);
	int writer = must_open("fifo", O_WRONLY | O_NONBLOCK);
	put(writer, 9);
	must(unlink("fifo"), "unlink");

	must(symlink("to nowhere", "symlink"), "symlink");
	int symlink_fd = must_open("symlink", O_PATH | O_NOFOLLOW);
	must(unlink("symlink"), "unlink");

	int device = -1;
	if (mknod("null", S_IFCHR | 0604, makedev(1, 3)) == 0) {
		device = open("null", O_WRONLY);
		must(unlink("null"), "unlink");
	}

	/* Mapped, and open nowhere. */
	int mapped = must_open("mapped", O_RDWR | O_CREAT);
	put(mapped, 10);
	unsigned char *shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, mapped, 0);
	unsigned char *private = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, mapped, 0);
	if (shared == MAP_FAILED || private == MAP_FAILED)
		die("mmap");
	must(unlink("mapped"), "unlink");
	close(mapped);
	private[0] = 0xaa;
	shared[1] = 0xbb;

	unsigned char *memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (long)memory, (long)memory + 8192);
	int zero = open(path, O_RDWR | O_APPEND);
	unsigned char *copy = MAP_FAILED;
	if (zero >= 0) {
		fill_bytes(memory, 8192, 11);
		must(ftruncate(zero, 6000), "ftruncate");
		lseek(zero, 55, SEEK_SET);
		copy = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
		if (copy == MAP_FAILED)
			die("mmap");
		copy[7] = 0xcc;
	}

	int net = must_open("/proc/self/ns/net", O_RDONLY);
	struct stat net_before;
	fstat(net, &net_before);

	must(futimens(holes, times), "futimens");
	ready();
	wait_for_term();

	fstat(holes, &st);
	check_equal("holes_size", st.st_size, 2 * HOLE);
	check_equal("holes_mode", st.st_mode, S_IFREG | 06751);
	check_equal("holes_owner", st.st_uid, 1234);
	check_equal("holes_group", st.st_gid, 2345);
	check_equal("holes_links", st.st_nlink, 0);
	check_equal("holes_access", st.st_atim.tv_sec, times[0].tv_sec);
	check_equal("holes_access_ns", st.st_atim.tv_nsec, times[0].tv_nsec);
	check_equal("holes_change", st.st_mtim.tv_sec, times[1].tv_sec);
	check_equal("holes_change_ns", st.st_mtim.tv_nsec, times[1].tv_nsec);
	check_equal("holes_flags", fcntl(holes, F_GETFL) & O_APPEND, O_APPEND);
	check_equal("holes_hole", lseek(reader, CHUNK, SEEK_HOLE) < HOLE, 1);
	check_equal("holes_blocks", st.st_blocks * 512 < HOLE, 1);
	lseek(reader, 77, SEEK_SET);
	check_content("holes_first", reader, 0, 1);
	check_content("holes_second", reader, HOLE, 2);
	check_same("holes_same", holes, reader);
	check_equal("reader_flags", fcntl(reader, F_GETFL) & (O_ACCMODE | O_NOFOLLOW), O_NOFOLLOW);
	check_link("holes_name", holes, "/holes (deleted)");

	check_content("one", one, 0, 3);
	check_same("two_same", one, two);
	check_link("two_name", two, "/two (deleted)");
	check_content("taken", taken, 0, 4);
	check_equal("taken_there", access("one", F_OK), 0);

	int other = must_open("other", O_RDONLY);
	check_same("kept_same", kept, other);
	check_content("kept", kept, 0, 5);

	check_content("tmpfile", tmpfile, 0, 6);
	check_equal("tmpfile_pos", lseek(tmpfile, 0, SEEK_CUR), CHUNK);
	check_equal("tmpfile_flags", fcntl(tmpfile, F_GETFL) & (O_TMPFILE | O_APPEND), O_TMPFILE | O_APPEND);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", tmpfile);
	check(linkat(AT_FDCWD, path, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW) == 0, "tmpfile_link", "errno %d", errno);
	unlink("linked");

	check_content("inside", inside, 0, 7);
	check_equal("gone", access("gone", F_OK), -1);
	end_child("child", child);
	/* What the child appended to its own description of the first file is at its beginning. */
	check_content("child_write", reader, 0, 8);

	unsigned char data[CHUNK];
	check(read_now(fifo, data, CHUNK) == CHUNK && bytes_are(data, CHUNK, 9), "fifo", "other data");
	fstat(fifo, &st);
	check_equal("fifo_mode", st.st_mode, S_IFIFO | 0620);
	put(writer, 12);
	check(read_now(fifo, data, CHUNK) == CHUNK && bytes_are(data, CHUNK, 12), "fifo_again", "other data");

	char target[64] = "";
	check(readlinkat(symlink_fd, "", target, sizeof(target) - 1) > 0 && !strcmp(target, "to nowhere"), "symlink",
	      "it leads to \"%s\"", target);
	if (device >= 0) {
		fstat(device, &st);
		check_equal("device", st.st_rdev, makedev(1, 3));
		check_equal("device_mode", st.st_mode, S_IFCHR | 0604);
	}

	check_equal("private", private[0], 0xaa);
	check_equal("private_rest", private[4097], byte_at(10, 4097));
	check_equal("shared", shared[1], 0xbb);
	check_equal("shared_rest", shared[CHUNK - 1], byte_at(10, CHUNK - 1));
	shared[4098] = 0xdd;
	check_equal("one_file", private[4098], 0xdd);

	if (zero >= 0) {
		fstat(zero, &st);
		check_equal("zero_size", st.st_size, 6000);
		check_equal("zero_pos", lseek(zero, 0, SEEK_CUR), 55);
		check_equal("zero_flags", fcntl(zero, F_GETFL) & O_APPEND, O_APPEND);
		check_equal("memory", memory[5], byte_at(11, 5));
		memory[4099] = 0xee;
		check(pread(zero, data, 1, 4099) == 1 && data[0] == 0xee, "one_memory", "%d instead of 0xee", data[0]);
		check_equal("copy", copy[7], 0xcc);
		check_equal("copy_rest", copy[4099], 0xee);
		check_link("zero_name", zero, "/dev/zero (deleted)");
	}

	fstat(net, &st);
	check_equal("namespace", st.st_ino, net_before.st_ino);
	finish();
}
