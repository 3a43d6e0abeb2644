/*
 * Names that are any bytes: no UTF-8, newlines, backslashes, what looks like the kernel's own escapes and marks.
 * The program, its directory, files open, mapped and deleted, a directory, a fifo, a symbolic link and a socket
 * have such names.
 */
#include "files.h"

#include <limits.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

/* One of each kind; the first is the directory and the program. */
static const char *const names[] = {
	"d\xff\n\\ \xc3\xa4 (deleted)",
	"latin \xe9\xe8",
	"cut \xe2\x82",
	"surrogate \xed\xb3\xbf",
	"replacement \xef\xbf\xbd",
	"t\\012",
	"t\nline",
	"end (deleted)",
	"\xef\xbb\xbfmark",
};
#define COUNT ((int)(sizeof(names) / sizeof(*names)))

struct opened {
	int fd;
	void *mapped;
	char path[PATH_MAX], mapped_path[PATH_MAX];
};

static void link_of(char *to, const char *format, ...)
{
	char link[128];
	va_list args;

	va_start(args, format);
	vsnprintf(link, sizeof(link), format, args);
	va_end(args);
	ssize_t n = readlink(link, to, PATH_MAX - 1);
	to[n < 0 ? 0 : n] = 0;
}

static void links(struct opened *file)
{
	link_of(file->path, "/proc/self/fd/%d", file->fd);
	file->mapped_path[0] = 0;
	if (file->mapped)
		link_of(file->mapped_path, "/proc/self/map_files/%lx-%lx", (long)file->mapped,
			(long)file->mapped + 4096);
}

static struct opened open_file(const char *name, bool deleted)
{
	struct opened file = { .fd = open(name, O_CREAT | O_EXCL | O_RDWR, 0600) };

	if (file.fd < 0 || dprintf(file.fd, "%s", name) < 0 || ftruncate(file.fd, 4096))
		die("a file");
	file.mapped = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file.fd, 0);
	if (file.mapped == MAP_FAILED)
		die("mmap");
	if (deleted && unlink(name))
		die("unlink");
	links(&file);
	return file;
}

static void check_file(const char *what, int number, struct opened *was)
{
	struct opened now = *was;
	struct stat status = { 0 };
	char text[64] = "", title[64];

	links(&now);
	snprintf(title, sizeof(title), "%s %d", what, number);
	check(!strcmp(now.path, was->path) && !strcmp(now.mapped_path, was->mapped_path), title,
	      "the path is another one");
	if (!now.mapped)
		return;
	pread(now.fd, text, sizeof(text) - 1, 0);
	fstat(now.fd, &status);
	check(!strcmp(text, names[number]) && !strcmp(now.mapped, text), title, "the contents are others");
}

/* Copies this program to a name of that kind and runs it there. */
static void move(char **argv)
{
	char data[1 << 16];
	ssize_t n;

	if (mkdir(names[0], 0700) || chdir(names[0]))
		die("mkdir");
	int from = open("/proc/self/exe", O_RDONLY), to = open(names[0], O_CREAT | O_WRONLY, 0700);
	while ((n = read(from, data, sizeof(data))) > 0)
		if (write(to, data, n) != n)
			die("copy");
	close(from);
	close(to);
	setenv("MOVED", "1", 1);
	execv(names[0], argv);
	die("execv");
}

int main(int argc, char **argv)
{
	static struct opened files[COUNT], deleted[COUNT];
	struct opened directory, fifo, symlinked;
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "sock \xff\n" }, got = { 0 };
	socklen_t size = sizeof(got);
	char exe[PATH_MAX], cwd[PATH_MAX], now[PATH_MAX];

	subject_init();
	if (!getenv("MOVED"))
		move(argv);
	(void)argc;
	for (int i = 1; i < COUNT; i++)
		files[i] = open_file(names[i], false);
	if (mkdir("gone", 0700) || chdir("gone"))
		die("gone");
	for (int i = 1; i < COUNT; i++)
		deleted[i] = open_file(names[i], true);
	if (chdir(".."))
		die("chdir");
	directory = (struct opened){ .fd = open(".", O_RDONLY | O_DIRECTORY) };
	if (mkfifo("fifo \xfe", 0600) || symlink("to \xfd", "link \xfc"))
		die("mkfifo");
	fifo = (struct opened){ .fd = open("fifo \xfe", O_RDWR) };
	symlinked = (struct opened){ .fd = open("link \xfc", O_PATH | O_NOFOLLOW) };
	int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	if (server < 0 || bind(server, (void *)&name, sizeof(name)) || listen(server, 1))
		die("bind");
	links(&directory);
	links(&fifo);
	links(&symlinked);
	link_of(exe, "/proc/self/exe");
	link_of(cwd, "/proc/self/cwd");
	ready();
	wait_for_term();
	for (int i = 1; i < COUNT; i++) {
		check_file("file", i, &files[i]);
		check_file("deleted file", i, &deleted[i]);
	}
	check_file("directory", 0, &directory);
	check_file("fifo", 0, &fifo);
	check_file("symbolic link", 0, &symlinked);
	link_of(now, "/proc/self/exe");
	check(!strcmp(now, exe), "program", "another path");
	link_of(now, "/proc/self/cwd");
	check(!strcmp(now, cwd), "working directory", "another path");
	check(!getsockname(server, (void *)&got, &size) && !strcmp(got.sun_path, name.sun_path),
	      "the socket's name", "errno %d", errno);
	check(!connect(client, (void *)&name, sizeof(name)), "the socket's file", "errno %d", errno);
	finish();
}
