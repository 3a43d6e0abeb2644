/*
 * Serves a file system with one file, DIR/file, until it gets SIGTERM: then it ends in the way in which servers hang,
 * and answers nobody. Usage: mute_fuse DIR
 */
#include "../../subjects/subject.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { FILE_INODE = 2, MUCH = 1 << 17 };

static char request[MUCH];
static int device;

static void reply(uint64_t unique, int error, const void *data, size_t size)
{
	char answer[sizeof(struct fuse_out_header) + 256];
	struct fuse_out_header *header = (struct fuse_out_header *)answer;

	*header = (struct fuse_out_header){ sizeof(*header) + size, -error, unique };
	memcpy(header + 1, data, size);
	if (write(device, answer, header->len) < 0)
		die("write");
}

static struct fuse_attr attributes(uint64_t inode)
{
	return (struct fuse_attr){
		.ino = inode,
		.mode = inode == FILE_INODE ? S_IFREG | 0600 : S_IFDIR | 0700,
		.nlink = 1,
	};
}

static void serve(const struct fuse_in_header *in)
{
	const char *name = (const char *)(in + 1);

	switch (in->opcode) {
	case FUSE_INIT: {
		struct fuse_init_out out = { .major = 7, .minor = 31, .max_write = 4096 };
		return reply(in->unique, 0, &out, sizeof(out));
	}
	case FUSE_LOOKUP: {
		struct fuse_entry_out out = { .nodeid = FILE_INODE, .attr = attributes(FILE_INODE) };
		return strcmp(name, "file") ? reply(in->unique, ENOENT, NULL, 0)
					    : reply(in->unique, 0, &out, sizeof(out));
	}
	case FUSE_GETATTR: {
		struct fuse_attr_out out = { .attr = attributes(in->nodeid) };
		return reply(in->unique, 0, &out, sizeof(out));
	}
	case FUSE_OPEN:
	case FUSE_OPENDIR: {
		struct fuse_open_out out = { 0 };
		return reply(in->unique, 0, &out, sizeof(out));
	}
	case FUSE_STATFS: {
		struct fuse_statfs_out out = { 0 };
		return reply(in->unique, 0, &out, sizeof(out));
	}
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		return;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
		return reply(in->unique, 0, NULL, 0);
	default:
		return reply(in->unique, ENOSYS, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	const char *directory = arg(argc, argv, 1, ".");
	/* Without SA_RESTART: the signal is to end read(2). */
	struct sigaction act = { .sa_handler = on_term };
	char options[64];

	subject_init();
	sigaction(SIGTERM, &act, NULL);
	device = open("/dev/fuse", O_RDWR);
	if (device < 0)
		unsupported("/dev/fuse: %s", strerror(errno));
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
	if (mount("mute", directory, "fuse", MS_NOSUID, options))
		unsupported("mount: %s", strerror(errno));
	ready();
	while (!term_requested)
		if (read(device, request, sizeof(request)) > 0)
			serve((const struct fuse_in_header *)request);
	say("mute");
	for (;;)
		pause();
}
