/*
 * SOCK_DGRAM sockets with names, that send to each other in any way: several to one, one to itself, one after the
 * other, to one without a name, to one that is closed or whose file is deleted; with messages of senders with and
 * without names, and of such as are gone.
 */
#include "sockets.h"

int main(void)
{
	subject_init();
	struct name server = make_name("@server"), known = make_name("@known"), self = make_name("self");
	struct name middle = make_name("@middle"), deleted = make_name("dir"), left = make_name("@left");
	int at_server = new_socket(SOCK_DGRAM), nameless = new_socket(SOCK_DGRAM), client = new_socket(SOCK_DGRAM);
	int alone = new_socket(SOCK_DGRAM), first = new_socket(SOCK_DGRAM), second = new_socket(SOCK_DGRAM);
	int at_deleted = new_socket(SOCK_DGRAM), to_deleted = new_socket(SOCK_DGRAM);
	int at_left = new_socket(SOCK_DGRAM), closed = new_socket(SOCK_DGRAM), automatic = new_socket(SOCK_DGRAM);

	/* A server with what came from one with a name and from one without. */
	bind_to(at_server, &server);
	bind_to(client, &known);
	connect_to(client, &server);
	connect_to(nameless, &server);
	send_data(client, 10, 1);
	send_data(nameless, 20, 2);
	send_data(client, 0, 0);
	send_data(client, 30, 3);
	/* And from two that are gone by now: of one the file is still there. */
	struct name no_more = make_name("@no-more"), stale = make_name("stale");
	int gone = new_socket(SOCK_DGRAM), also_gone = new_socket(SOCK_DGRAM);
	bind_to(gone, &no_more);
	bind_to(also_gone, &stale);
	connect_to(gone, &server);
	connect_to(also_gone, &server);
	send_data(gone, 35, 33);
	send_data(also_gone, 36, 34);
	close(gone);
	close(also_gone);
	/* To itself. */
	bind_to(alone, &self);
	connect_to(alone, &self);
	send_data(alone, 40, 4);
	/* One sends to the second, which sends to the server. */
	bind_to(second, &middle);
	connect_to(first, &middle);
	send_data(first, 50, 5);
	connect_to(second, &server);
	/* An end of a pair that has left the other. */
	struct ends pair = make_pair(SOCK_DGRAM);
	struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	if (connect(pair.b, &nobody, sizeof(nobody)))
		die("connect to nobody");
	send_data(pair.a, 60, 6);
	/* The file of this one is deleted, and a directory has its name. */
	bind_to(at_deleted, &deleted);
	connect_to(to_deleted, &deleted);
	send_data(to_deleted, 70, 7);
	unlink("dir");
	if (mkdir("dir", 0700))
		die("mkdir");
	/* Its peer is closed, with something unread. */
	bind_to(closed, &left);
	bind_to(at_left, &(struct name){ .addr = { .sun_family = AF_UNIX }, .len = sizeof(sa_family_t) });
	connect_to(at_left, &left);
	close(closed);
	/* The kernel gave it a name. */
	bind_to(automatic, &(struct name){ .addr = { .sun_family = AF_UNIX }, .len = sizeof(sa_family_t) });
	struct name given = { .len = sizeof(given.addr) };
	getsockname(automatic, (struct sockaddr *)&given.addr, &given.len);
	/* Both ends of a pair have names. */
	struct ends named = make_pair(SOCK_DGRAM);
	struct name one = make_name("@one"), other = make_name("other");
	bind_to(named.a, &one);
	bind_to(named.b, &other);
	send_data(named.a, 80, 8);
	ready();
	wait_for_term();

	check_from("from one with a name", at_server, 10, 1, &known);
	check_from("from one without", at_server, 20, 2, NULL);
	check_from("empty", at_server, 0, 0, &known);
	check_from("last", at_server, 30, 3, &known);
	check_from("from one that is gone", at_server, 35, 33, &no_more);
	check_from("from one that is gone, with a file", at_server, 36, 34, &stale);
	check_empty("no more", at_server);
	struct stat file;
	check(lstat("stale", &file) == 0 && S_ISSOCK(file.st_mode), "the file of one that is gone", "errno %d", errno);
	check_names("client", client, &known, &server);
	send_data(nameless, 21, 12);
	check_from("from one without, later", at_server, 21, 12, NULL);
	check_from("to itself", alone, 40, 4, &self);
	check_names("to itself", alone, &self, &self);
	check_from("from the first to the second", second, 50, 5, NULL);
	check_fails("the first may not any more", send(first, "x", 1, MSG_DONTWAIT), EPERM);
	send_data(second, 51, 15);
	check_from("from the second to the server", at_server, 51, 15, &middle);
	check_from("one that has left the other", pair.b, 60, 6, NULL);
	check_fails("it sends to nobody", send(pair.b, "x", 1, MSG_DONTWAIT), ENOTCONN);
	send_data(pair.a, 61, 16);
	check_from("the other still sends", pair.b, 61, 16, NULL);
	check_from("deleted", at_deleted, 70, 7, NULL);
	send_data(to_deleted, 71, 17);
	check_from("deleted, later", at_deleted, 71, 17, NULL);
	check_names("to one that is deleted", to_deleted, NULL, &deleted);
	check_fails("closed: sending", send(at_left, "x", 1, MSG_DONTWAIT), ECONNREFUSED);
	check_fails("closed: sending again", send(at_left, "x", 1, MSG_DONTWAIT), ENOTCONN);
	struct name now = { .len = sizeof(now.addr) };
	getsockname(automatic, (struct sockaddr *)&now.addr, &now.len);
	check(now.len == given.len && !memcmp(&now.addr, &given.addr, now.len), "name that the kernel gave",
	      "%u bytes, %s", (unsigned)now.len, now.addr.sun_path + 1);
	check_from("pair with names", named.b, 80, 8, &one);
	check_names("pair with names", named.b, &other, &one);
	send_data(named.b, 81, 18);
	check_from("pair with names, back", named.a, 81, 18, &other);
	finish();
}
