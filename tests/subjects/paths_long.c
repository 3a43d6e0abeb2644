/*
 * Paths longer than the kernel tells or takes (PATH_MAX): of the program, its directory, of files open and mapped, of
 * a directory, below names that are no UTF-8 and have newlines.
 */
#include "files.h"

#include <sys/mman.h>

#define DEPTH 40
#define LENGTH 240

static void identity(struct stat *status, const char *what, int found)
{
	if (found)
		die(what);
	(void)status;
}

static void check_same(const char *what, struct stat *was, int found, struct stat *now)
{
	check(!found && was->st_ino == now->st_ino && was->st_dev == now->st_dev, what,
	      "another file, or none: errno %d", found ? errno : 0);
}

/* Goes down into directories with long names, copies this program there and runs it. */
static void move(char **argv)
{
	char name[LENGTH + 1], data[1 << 16];
	ssize_t n;

	memset(name, 'd', LENGTH);
	memcpy(name, "\xff\n\\012", 6);
	name[LENGTH] = 0;
	for (int i = 0; i < DEPTH; i++)
		if (mkdir(name, 0700) || chdir(name))
			die("mkdir");
	int from = open("/proc/self/exe", O_RDONLY), to = open("program", O_CREAT | O_WRONLY, 0700);
	while ((n = read(from, data, sizeof(data))) > 0)
		if (write(to, data, n) != n)
			die("copy");
	close(from);
	close(to);
	setenv("MOVED", "1", 1);
	execv("./program", argv);
	die("execv");
}

int main(int argc, char **argv)
{
	struct stat exe, cwd, file, dir, now;
	char text[8] = "";

	subject_init();
	if (!getenv("MOVED"))
		move(argv);
	(void)argc;
	int fd = open("file\n", O_CREAT | O_EXCL | O_RDWR, 0600);
	if (fd < 0 || write(fd, "abcdef", 6) != 6 || ftruncate(fd, 4096) || lseek(fd, 3, SEEK_SET) != 3)
		die("a file");
	int written = open("written", O_CREAT | O_EXCL | O_WRONLY, 0);
	char *mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED || written < 0 || mkdir("other", 0700))
		die("mmap");
	int directory = open("other", O_RDONLY | O_DIRECTORY);
	identity(&exe, "exe", stat("/proc/self/exe", &exe));
	identity(&cwd, "cwd", stat(".", &cwd));
	identity(&file, "file", fstat(fd, &file));
	identity(&dir, "directory", fstat(directory, &dir));
	ready();
	wait_for_term();
	check_same("the program", &exe, stat("/proc/self/exe", &now), &now);
	check_same("the working directory", &cwd, stat(".", &now), &now);
	check_same("the file", &file, fstat(fd, &now), &now);
	check_same("the file by its name", &file, stat("file\n", &now), &now);
	check_same("the directory", &dir, fstat(directory, &now), &now);
	check(read(fd, text, 3) == 3 && !strcmp(text, "def"), "the position", "it reads %s", text);
	mapped[0] = 'X';
	check(pread(fd, text, 1, 0) == 1 && text[0] == 'X', "the mapping", "it is no longer the file's");
	check(write(written, "w", 1) == 1 && !stat("written", &now) && now.st_size == 1,
	      "a file that is only written", "errno %d", errno);
	finish();
}
