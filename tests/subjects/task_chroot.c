/* Another root directory, and a working directory inside it. Wants root. */
#include "mem.h"

#include <sys/stat.h>

int main(void)
{
	char cwd[256], text[8] = "";
	struct stat root, now;

	subject_init();
	if (geteuid() != 0)
		unsupported("being started by root");
	if (mkdir("newroot", 0755) || mkdir("newroot/inner", 0755))
		die("mkdir");
	int fd = open("newroot/inner/file", O_WRONLY | O_CREAT, 0644);
	if (fd < 0 || write(fd, "inside", 6) != 6 || close(fd))
		die("file");
	if (chroot("newroot") || chdir("/inner"))
		die("chroot");
	if (stat("/", &root))
		die("stat");
	int held = open("/inner/file", O_RDONLY);
	ready();
	wait_for_term();
	check(!stat("/", &now) && now.st_ino == root.st_ino && now.st_dev == root.st_dev, "root directory",
	      "another inode");
	check(access("/proc", F_OK) == -1, "nothing else is seen", "there is a /proc");
	check(getcwd(cwd, sizeof(cwd)) && !strcmp(cwd, "/inner"), "working directory", "%s", cwd);
	fd = open("/inner/file", O_RDONLY);
	check(fd >= 0 && read(fd, text, 6) == 6 && !strcmp(text, "inside"), "a file in it", "%s", text);
	check(read(held, text, 6) == 6 && !strcmp(text, "inside"), "a descriptor in it", "%s", text);
	finish();
}
