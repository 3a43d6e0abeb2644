/*
 * Sockets that listen, and what they accepted: with abstract names, paths, relative paths, and paths that are
 * deleted; data in both directions; the client or the listening one closed; connections that wait to be accepted, of
 * two users; what everybody is told of names and of who the other one is.
 *
 * Usage: unix_service stream|seqpacket
 */
#include "sockets.h"

#include <sys/stat.h>

#define USER 1234

static int listen_at(int type, const struct name *name, int backlog)
{
	int fd = new_socket(type);

	bind_to(fd, name);
	if (listen(fd, backlog))
		die("listen");
	return fd;
}

/* A connection through a listening socket. */
static struct ends connection(int type, int listener, const struct name *name)
{
	struct ends ends = { new_socket(type), -1 };

	connect_to(ends.a, name);
	ends.b = accept_from(listener);
	return ends;
}

static void check_conversation(const char *name, struct ends ends)
{
	send_data(ends.a, 11, 90);
	check_received(name, ends.b, 11, 90);
	send_data(ends.b, 12, 91);
	check_received(name, ends.a, 12, 91);
}

/* Whoever connects now is accepted. */
static void check_listens(const char *what, int type, int listener, const struct name *name)
{
	int client = new_socket(type);

	fcntl(listener, F_SETFL, O_NONBLOCK);
	int result = connect(client, (const struct sockaddr *)&name->addr, name->len);
	int error = errno;
	int accepted = accept(listener, NULL, NULL);
	check(result == 0 && accepted >= 0, what, "connect %d (errno %d), accept %d (errno %d)", result, error,
	      accepted, errno);
	check_conversation(what, (struct ends){ client, accepted });
}

int main(int argc, char **argv)
{
	int type = !strcmp(arg(argc, argv, 1, "stream"), "seqpacket") ? SOCK_SEQPACKET : SOCK_STREAM;
	char path[100];
	struct stat before, after;
	int told[2];

	subject_init();
	signal(SIGPIPE, SIG_IGN);
	if (!getcwd(path, sizeof(path) - 20))
		die("getcwd");
	strcat(path, "/absolute");
	struct name abstract = make_name("@service"), absolute = make_name(path), relative = make_name("relative");
	struct name deleted = make_name("deleted"), gone = make_name("@gone"), mine = make_name("@client");
	struct name queue = make_name("@queue"), first = make_name("@first"), second = make_name("@second");
	int at_abstract = listen_at(type, &abstract, 3), at_absolute = listen_at(type, &absolute, 5);
	int at_relative = listen_at(type, &relative, 5), at_deleted = listen_at(type, &deleted, 5);
	int at_gone = listen_at(type, &gone, 5), at_queue = listen_at(type, &queue, 5);

	if (chmod(path, 0640) || chown(path, USER, 77) || stat(path, &before))
		die("file of the socket");
	struct ends one = connection(type, at_abstract, &abstract), two = connection(type, at_absolute, &absolute);
	struct ends three = connection(type, at_relative, &relative), four = connection(type, at_deleted, &deleted);
	struct ends orphan = connection(type, at_gone, &gone), sibling = connection(type, at_gone, &gone);
	close(at_gone);
	unlink("deleted");
	/* Another socket has the name by now. */
	int again = listen_at(type, &deleted, 5);
	struct ends named = { new_socket(type), -1 };
	bind_to(named.a, &mine);
	connect_to(named.a, &abstract);
	named.b = accept_from(at_abstract);
	struct ends left = connection(type, at_absolute, &absolute);
	send_data(left.a, 30, 1);
	close(left.a);
	send_data(one.a, 40, 2);
	send_data(one.b, 50, 3);
	shutdown(two.a, SHUT_WR);
	int unheard = new_socket(type);
	struct name quiet = make_name("@quiet");
	bind_to(unheard, &quiet);

	/* Bound beside its name and renamed, as a server has it that takes the place of an older one; and once more. */
	struct name beside = make_name("beside"), renamed = make_name("renamed");
	int at_renamed = listen_at(type, &beside, 5);
	if (rename("beside", "renamed"))
		die("rename");
	int at_beside = listen_at(type, &beside, 5);
	struct ends six = connection(type, at_renamed, &renamed), seven = connection(type, at_beside, &beside);

	/* Who connects here is each somebody else. */
	struct name meeting = make_name("@meeting"), place = make_name("meeting");
	int at_meeting = listen_at(type, &meeting, 5), at_place = listen_at(type, &place, 5);
	pid_t visitors[2];
	for (int i = 0; i < 2; i++) {
		if (pipe(told))
			die("pipe");
		visitors[i] = fork_child();
		if (visitors[i] == 0) {
			int visit = new_socket(type), other = new_socket(type);
			connect_to(other, &place);
			if (setuid(USER + i))
				die("setuid");
			connect_to(visit, &meeting);
			send_data(visit, 60 + i, 40 + i);
			child_is_ready(told);
			wait_for_term();
			check_peer("visitor: host", visit, (struct ucred){ getppid(), 0, 0 });
			check_peer("visitor: host at a path", other, (struct ucred){ getppid(), 0, 0 });
			check_received("visitor: greeting", visit, 7, 50 + i);
			check_received("visitor: greeting at a path", other, 8, 50 + i);
			child_finish();
		}
		wait_for_child(told);
	}
	int hosts[4] = { accept_from(at_meeting), accept_from(at_meeting), accept_from(at_place), accept_from(at_place) };

	if (pipe(told))
		die("pipe");
	pid_t child = fork_child();
	if (child == 0) {
		int fds[] = { new_socket(type), new_socket(type) };
		if (setuid(USER))
			die("setuid");
		bind_to(fds[1], &second);
		connect_to(fds[1], &queue);
		bind_to(fds[0], &first);
		connect_to(fds[0], &queue);
		child_is_ready(told);
		wait_for_term();
		check_received("child: greeting", fds[1], 5, 10);
		child_finish();
	}
	wait_for_child(told);
	fact("child", "%d", child);
	ready();
	wait_for_term();

	check_names("abstract, client", one.a, NULL, &abstract);
	check_names("abstract, server", one.b, &abstract, NULL);
	check_names("path, client", two.a, NULL, &absolute);
	check_names("relative, server", three.b, &relative, NULL);
	check_names("deleted, client", four.a, NULL, &deleted);
	check_names("not listening any more, server", orphan.b, &gone, NULL);
	check_names("both named, client", named.a, &mine, &abstract);
	check_names("both named, server", named.b, &abstract, &mine);
	check_received("data to the server", one.b, 40, 2);
	check_received("data to the client", one.a, 50, 3);
	check_received("closed: data", left.b, 30, 1);
	check_equal("closed: end", recv(left.b, path + 99, 1, MSG_DONTWAIT), 0);
	check_fails("shut down", send(two.a, "x", 1, MSG_DONTWAIT), EPIPE);
	check_equal("shut down: end", recv(two.b, path + 99, 1, MSG_DONTWAIT), 0);
	check_names("renamed, client", six.a, NULL, &beside);
	check_names("renamed, server", six.b, &beside, NULL);
	check_conversation("renamed", six);
	check_conversation("where one was renamed", seven);
	check_listens("where one was renamed: listens", type, at_beside, &beside);
	int caller = new_socket(type);
	connect_to(caller, &renamed);
	struct ends called = { caller, accept_from(at_renamed) };
	check_conversation("renamed: listens", called);
	check_conversation("abstract", one);
	check_conversation("relative", three);
	check_conversation("deleted", four);
	check_conversation("not listening any more", orphan);
	check_conversation("not listening any more, second", sibling);
	check_conversation("both named", named);
	check_peer("client's view", one.a, (struct ucred){ getpid(), 0, 0 });
	check_peer("server's view", one.b, (struct ucred){ getpid(), 0, 0 });
	check_listens("abstract: listens", type, at_abstract, &abstract);
	check_listens("path: listens", type, at_absolute, &absolute);
	check_listens("relative: listens", type, at_relative, &relative);
	check_listens("name of a deleted one: listens", type, again, &deleted);
	fcntl(at_deleted, F_SETFL, O_NONBLOCK);
	check_fails("deleted: nobody comes", accept(at_deleted, NULL, NULL), EAGAIN);
	check(stat(absolute.addr.sun_path, &after) == 0 && after.st_mode == before.st_mode &&
		      after.st_uid == before.st_uid && after.st_gid == before.st_gid, "file of a path",
	      "mode %o, owner %u:%u", after.st_mode, after.st_uid, after.st_gid);
	check_fails("nobody listens: connecting", connect(new_socket(type), (struct sockaddr *)&quiet.addr, quiet.len),
		    ECONNREFUSED);
	check_equal("now it listens", listen(unheard, 1), 0);
	check_equal("name that is free again", bind(new_socket(type), (struct sockaddr *)&gone.addr, gone.len), 0);

	for (int i = 0; i < 2; i++) {
		check_peer("host: visitor", hosts[i], (struct ucred){ visitors[i], USER + i, 0 });
		check_peer("host: visitor at a path", hosts[2 + i], (struct ucred){ visitors[i], 0, 0 });
		check_received("host: from a visitor", hosts[i], 60 + i, 40 + i);
		send_data(hosts[i], 7, 50 + i);
		send_data(hosts[2 + i], 8, 50 + i);
		end_child("visitor", visitors[i]);
	}
	check_listens("where visitors came: listens", type, at_meeting, &meeting);
	/* They wait in the order in which they came, and are who they were. */
	fcntl(at_queue, F_SETFL, O_NONBLOCK);
	int accepted[2] = { accept(at_queue, NULL, NULL), accept(at_queue, NULL, NULL) };
	check_names("first that waited", accepted[0], &queue, &second);
	check_names("second that waited", accepted[1], &queue, &first);
	check_peer("who waited", accepted[0], (struct ucred){ child, USER, 0 });
	send_data(accepted[0], 5, 10);
	end_child("child", child);
	finish();
}
