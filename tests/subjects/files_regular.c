/*
 * Descriptors of regular files and their like: position, flags, append, O_PATH, directories in the
 * middle of being read, owner and signal (F_SETOWN, F_SETSIG), dup with its shared position, two
 * separate openings of a file, close-on-exec, high numbers, and device files without state.
 */
#include "files.h"

#include <dirent.h>

/* What F_GETFL shows of every file that a 64-bit task opened; the C library calls it 0. */
#undef O_LARGEFILE
#define O_LARGEFILE 0100000

static int position(int fd)
{
	return lseek(fd, 0, SEEK_CUR);
}

static void check_fd(const char *what, int fd, int flags, int fd_flags, int pos)
{
	char name[64];

	snprintf(name, sizeof(name), "%s: flags", what);
	check(fcntl(fd, F_GETFL) == flags, name, "%#o instead of %#o", fcntl(fd, F_GETFL), flags);
	snprintf(name, sizeof(name), "%s: close-on-exec", what);
	check_equal(name, fcntl(fd, F_GETFD), fd_flags);
	if (pos >= 0) {
		snprintf(name, sizeof(name), "%s: position", what);
		check_equal(name, position(fd), pos);
	}
}

int main(void)
{
	unsigned char data[4096], back[4096];
	struct stat st, now;
	char name[32], text[64];

	subject_init();
	fill_bytes(data, sizeof(data), 1);
	int rw = open("rw.bin", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (rw < 0 || write(rw, data, sizeof(data)) != sizeof(data))
		die("rw.bin");
	lseek(rw, 1000, SEEK_SET);
	int ro = open("rw.bin", O_RDONLY | O_NOATIME);
	lseek(ro, 4000, SEEK_SET);
	int wo = open("wo.bin", O_WRONLY | O_CREAT, 0600);
	lseek(wo, 1L << 33, SEEK_SET); /* past the end, and past 32 bits */
	int append = open("append.log", O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (write(append, "one\n", 4) != 4)
		die("append.log");
	int path = open("rw.bin", O_PATH | O_CLOEXEC);
	int path_dir = open("/", O_PATH);
	int sync_fd = open("rw.bin", O_RDWR | O_DSYNC | O_NONBLOCK | O_LARGEFILE);
	int shared = dup(rw);
	int high = fcntl(rw, F_DUPFD, 200);
	int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	int random = open("/dev/urandom", O_RDONLY);
	fcntl(ro, F_SETOWN, getpid());
	fcntl(ro, F_SETSIG, SIGRTMIN + 5);
	fcntl(wo, F_SETOWN, -getpgrp());
	struct f_owner_ex to_thread = { F_OWNER_TID, own_tid() };
	fcntl(append, F_SETOWN_EX, &to_thread);
	mkdir("dir", 0755);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "dir/file%d", i);
		close(open(name, O_WRONLY | O_CREAT, 0600));
	}
	int dir = open("dir", O_RDONLY | O_DIRECTORY);
	char entries[2048];
	long first = syscall(SYS_getdents64, dir, entries, sizeof(entries));
	int seen = 0;
	for (long at = 0; at < first; seen++)
		at += *(uint16_t *)(entries + at + 16);
	int dir_position = position(dir);
	fstat(rw, &st);
	int count_before = 0;
	for (int fd = 0; fd < 1024; fd++)
		count_before += fcntl(fd, F_GETFD) >= 0;
	ready();
	wait_for_term();

	int count = 0;
	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	check_equal("number of descriptors", count, count_before);
	check_fd("read-write", rw, O_RDWR | O_LARGEFILE, FD_CLOEXEC, 1000);
	check_fd("read-only", ro, O_RDONLY | O_NOATIME | O_LARGEFILE, 0, 4000);
	check_fd("write-only", wo, O_WRONLY | O_LARGEFILE, 0, -1);
	check_equal("position past 32 bits", lseek(wo, 0, SEEK_CUR), 1L << 33);
	check_fd("append", append, O_WRONLY | O_APPEND | O_LARGEFILE, 0, 4);
	check_fd("O_PATH", path, O_PATH, FD_CLOEXEC, -1);
	check_fd("O_PATH of a directory", path_dir, O_PATH, 0, -1);
	check_fd("O_DSYNC", sync_fd, O_RDWR | O_DSYNC | O_NONBLOCK | O_LARGEFILE, 0, 0);
	check_fd("/dev/null", null, O_RDWR | O_LARGEFILE, 0, -1);
	check_fd("/dev/zero", zero, O_RDONLY | O_LARGEFILE, FD_CLOEXEC, -1);
	check(!fstat(rw, &now) && now.st_ino == st.st_ino && now.st_dev == st.st_dev, "the same file", "-");
	check(!fstat(path, &now) && now.st_ino == st.st_ino, "O_PATH: the same file", "-");
	check(read(path, back, 1) == -1 && errno == EBADF, "O_PATH: not readable", "errno %d", errno);
	check(openat(path_dir, "proc", O_PATH) >= 0, "O_PATH: a way to open", "errno %d", errno);
	check(read(ro, back, 96) == 96 && !memcmp(back, data + 4000, 96), "reading goes on", "other bytes");
	check(lseek(rw, 1234, SEEK_SET) == 1234 && position(shared) == 1234 && position(high) == 1234,
	      "dup shares the position", "%d and %d", position(shared), position(high));
	check_equal("another opening does not", position(ro), 4096);
	check_equal("close-on-exec of the dup", fcntl(shared, F_GETFD), 0);
	check_equal("F_GETOWN", fcntl(ro, F_GETOWN), getpid());
	check_equal("F_GETSIG", fcntl(ro, F_GETSIG), SIGRTMIN + 5);
	check_equal("F_GETOWN of a group", -fcntl(wo, F_GETOWN), getpgrp());
	struct f_owner_ex owner = { 0 };
	fcntl(append, F_GETOWN_EX, &owner);
	check(owner.type == F_OWNER_TID && owner.pid == own_tid(), "F_GETOWN_EX of a thread", "%d %d",
	      owner.type, owner.pid);
	int other = open("append.log", O_WRONLY | O_APPEND);
	if (write(other, "two\n", 4) != 4 || write(append, "three\n", 6) != 6)
		die("append.log");
	memset(text, 0, sizeof(text));
	int log = open("append.log", O_RDONLY);
	check(read(log, text, 63) == 14 && !strcmp(text, "one\ntwo\nthree\n"), "append appends", "%s", text);
	check_equal("directory: position", position(dir), dir_position);
	for (long n; (n = syscall(SYS_getdents64, dir, entries, sizeof(entries))) > 0;)
		for (long at = 0; at < n; seen++)
			at += *(uint16_t *)(entries + at + 16);
	check_equal("directory: entries before and after", seen, 302);
	check(write(null, "x", 1) == 1 && read(zero, back, 1) == 1 && back[0] == 0 &&
		      read(random, back, 1) == 1,
	      "devices work", "errno %d", errno);
	finish();
}
