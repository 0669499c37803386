#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/http.h"
#include "base/mem.h"
#include "tests/tap.h"

/* A server that misbehaves on request.  One thread, one connection at a time. */
static int listener, port;

static void say(int fd, const char *s)
{
	if (send(fd, s, strlen(s), MSG_NOSIGNAL) < 0)
		errno = 0;
}

static void answer(int fd, const char *path)
{
	char head[512];

	if (!strcmp(path, "/ok")) {
		say(fd, "HTTP/1.0 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>hello</p>");
	} else if (!strcmp(path, "/loop")) {
		say(fd, "HTTP/1.0 302 Found\r\nLocation: /loop\r\n\r\n");
	} else if (!strcmp(path, "/once")) {
		say(fd, "HTTP/1.0 302 Found\r\nLocation: /ok\r\n\r\n");
	} else if (!strcmp(path, "/inside")) {
		snprintf(head, sizeof(head), "HTTP/1.0 302 Found\r\nLocation: http://127.0.0.2:%d/ok\r\n\r\n", port);
		say(fd, head);
	} else if (!strcmp(path, "/inside6")) {
		snprintf(head, sizeof(head),
			 "HTTP/1.0 302 Found\r\nLocation: http://[::ffff:127.0.0.2]:%d/ok\r\n\r\n", port);
		say(fd, head);
	} else if (!strcmp(path, "/passwd")) {
		say(fd, "HTTP/1.0 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n");
	} else if (!strcmp(path, "/junk")) {
		say(fd, "220 this is no web server\r\n");
	} else if (!strcmp(path, "/ftp")) {
		say(fd, "HTTP/1.0 302 Found\r\nLocation: ftp://127.0.0.1/x\r\n\r\n");
	} else if (!strcmp(path, "/endless")) {
		char block[4096];

		memset(block, 'x', sizeof(block));
		say(fd, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n");
		while (send(fd, block, sizeof(block), MSG_NOSIGNAL) > 0)
			;
	} else if (!strcmp(path, "/lies")) {
		say(fd, "HTTP/1.0 200 OK\r\nContent-Length: 99999999999\r\n\r\n");
	} else if (!strcmp(path, "/headers")) {
		say(fd, "HTTP/1.0 200 OK\r\n");
		while (send(fd, "X-Again: and again and again and again\r\n", 40, MSG_NOSIGNAL) > 0)
			;
	} else if (!strcmp(path, "/drip")) {
		say(fd, "HTTP/1.0 200 OK\r\n\r\n");
		for (int i = 0; i < 100 && send(fd, ".", 1, MSG_NOSIGNAL) > 0; i++)
			usleep(100000);
	} else {
		say(fd, "HTTP/1.0 404 Not Found\r\n\r\nnothing");
	}
}

static void *serve(void *arg)
{
	(void)arg;
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		char req[4096], path[64] = "";
		ssize_t n;

		if (fd < 0)
			return NULL;
		n = recv(fd, req, sizeof(req) - 1, 0);
		req[n > 0 ? n : 0] = 0;
		if (sscanf(req, "GET %63s", path) == 1)
			answer(fd, path);
		shutdown(fd, SHUT_RDWR);
		close(fd);
	}
}

/* The test's idea of a private network: 127.0.0.2 and its mapped form. */
static bool inside(const struct sockaddr *sa, socklen_t len)
{
	static const unsigned char mapped[16] = { [10] = 0xFF, 0xFF, 127, 0, 0, 2 };

	(void)len;
	if (sa->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr) == 0x7F000002;
	return !memcmp(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, mapped, 16);
}

static int get(struct http_reply *r, char *body, size_t cap, const char *host, const char *path,
	       const struct http_opts *o)
{
	char url[256];
	int fd, rc;
	ssize_t n;

	snprintf(url, sizeof(url), "http://%s:%d%s", host, port, path);
	rc = file_memory(&fd, "http-t");
	if (rc)
		return rc;
	rc = http_get(r, fd, url, o);
	n = pread(fd, body, cap - 1, 0);
	body[n > 0 ? n : 0] = 0;
	close(fd);
	return rc;
}

static int stop(void *arg, const struct progress_at *at)
{
	(void)arg;
	(void)at;
	return 1;
}

static bool private_text(const char *s)
{
	struct sockaddr_in a4 = { .sin_family = AF_INET };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6 };

	if (inet_pton(AF_INET, s, &a4.sin_addr) == 1)
		return http_is_private((const struct sockaddr *)&a4, sizeof(a4));
	if (inet_pton(AF_INET6, s, &a6.sin6_addr) != 1)
		ok(false, "'%s' is no address", s);
	return http_is_private((const struct sockaddr *)&a6, sizeof(a6));
}

static void test_addresses(void)
{
	static const char *const no[] = {
		"0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254",
		"169.254.169.254", "172.16.0.1", "172.31.255.255", "192.168.0.1", "198.18.0.1",
		"198.19.255.255", "224.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1",
		"::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
		"2002:c0a8:101::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
		"2001:0:4136:e378::", "2001:db8::1", "100::1", "64:ff9b:1::1",
	};
	static const char *const yes[] = {
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
		"126.255.255.255", "128.0.0.0", "169.253.255.255", "172.15.255.255", "172.32.0.0",
		"192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
		"2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1",
	};

	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		ok(private_text(no[i]), "%s is private", no[i]);
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		ok(!private_text(yes[i]), "%s is public", yes[i]);
}

static void test_canonical(void)
{
	static const char *const t[][2] = {
		{ "HTTP://User:secret@Example.COM:80/a/./b/../c?q=1#frag", "http://example.com/a/c?q=1" },
		{ "https://example.com", "https://example.com/" },
		{ "https://example.com:8443/x", "https://example.com:8443/x" },
	};
	static const char *const bad[] = { "ftp://example.com/", "file:///etc/passwd", "gopher://x/" };
	char *out;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		is_int(http_canonical(&out, t[i][0]), RAG_OK, t[i][0]);
		is_str(out, t[i][1], "canonical");
		mem_free(out);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_int(http_canonical(&out, bad[i]), RAG_EDENIED, bad[i]);
	is_int(http_canonical(&out, "http://"), RAG_EINVAL, "no host");
}

int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	struct http_opts open = HTTP_OPTS_INIT, shut = HTTP_OPTS_INIT, partly = HTTP_OPTS_INIT;
	struct progress cancel = { stop, NULL };
	struct http_reply r;
	pthread_t thread;
	char body[256];

	test_addresses();
	test_canonical();

	/* Any address of 127/8 reaches this one. */
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 16) ||
	    getsockname(listener, (struct sockaddr *)&a, &len)) {
		tap_skip(1, "no loopback network");
		return tap_done();
	}
	port = ntohs(a.sin_port);
	pthread_create(&thread, NULL, serve, NULL);
	open.allow_private = true;
	open.max_bytes = 1 << 20;
	partly.forbidden = inside;

	is_int(get(&r, body, sizeof(body), "127.0.0.1", "/ok", &open), RAG_OK, "fetch");
	is_str(body, "<p>hello</p>", "body");
	is_str(r.type, "text/html; charset=utf-8", "type");
	is_int((long long)r.bytes, 12, "bytes");
	http_reply_release(&r);
	is_int(get(&r, body, sizeof(body), "127.0.0.1", "/once", &open), RAG_OK, "one redirect");
	ok(r.url && strstr(r.url, "/ok"), "final URL");
	http_reply_release(&r);

	is_int(get(&r, body, sizeof(body), "127.0.0.1", "/ok", &shut), RAG_EDENIED, "loopback refused");
	ok(strstr(err_msg(), "127.0.0.1") && strstr(err_msg(), "http://"), "names URL and address");
	is_int(get(&r, body, sizeof(body), "2130706433", "/ok", &shut), RAG_EDENIED, "decimal address");
	is_int(get(&r, body, sizeof(body), "0x7f.1", "/ok", &shut), RAG_EDENIED, "hexadecimal address");
	is_int(get(&r, body, sizeof(body), "[::ffff:127.0.0.1]", "/ok", &shut), RAG_EDENIED, "mapped address");
	is_int(get(&r, body, sizeof(body), "[::1]", "/ok", &shut), RAG_EDENIED, "::1");
	is_int(get(&r, body, sizeof(body), "localhost", "/ok", &shut), RAG_EDENIED, "a name for loopback");
	is_int(get(&r, body, sizeof(body), "127.0.0.1", "/ok", &partly), RAG_OK, "a public first step");
	http_reply_release(&r);
	is_int(get(&r, body, sizeof(body), "127.0.0.1", "/inside", &partly), RAG_EDENIED,
	       "a redirect to a private address");
	is_int(get(&r, body, sizeof(body), "127.0.0.1", "/inside6", &partly), RAG_EDENIED,
	       "a redirect to a mapped private address");

	is_int(get(&r, body, sizeof(body), "127.0.0.1", "/passwd", &open), RAG_EDENIED, "redirect to file:");
	ok(!strstr(body, "root:"), "nothing read");
	is_int(get(&r, body, sizeof(body), "127.0.0.1", "/ftp", &open), RAG_EDENIED, "redirect to ftp:");
	is_int(get(&r, body, sizeof(body), "127.0.0.1", "/junk", &open), RAG_ENET, "no HTTP at all");
	ok(strstr(err_msg(), "does not answer in HTTP"), "is told from a redirect that leads away");
	is_int(get(&r, body, sizeof(body), "127.0.0.1", "/loop", &open), RAG_ELIMIT, "redirect loop");
	is_int(get(&r, body, sizeof(body), "127.0.0.1", "/missing", &open), RAG_ENOENT, "404");
	is_int(get(&r, body, sizeof(body), "127.0.0.1", "/endless", &open), RAG_ELIMIT, "endless body");
	is_int(get(&r, body, sizeof(body), "127.0.0.1", "/lies", &open), RAG_ELIMIT, "announced as too large");
	is_int(get(&r, body, sizeof(body), "127.0.0.1", "/headers", &open), RAG_ELIMIT, "endless headers");
	open.stall_s = 1;
	is_int(get(&r, body, sizeof(body), "127.0.0.1", "/drip", &open), RAG_ELIMIT, "a byte now and then");
	open.stall_s = 0;
	open.total_ms = 300;
	is_int(get(&r, body, sizeof(body), "127.0.0.1", "/drip", &open), RAG_ELIMIT, "total time");
	open.progress = &cancel;
	is_int(get(&r, body, sizeof(body), "127.0.0.1", "/endless", &open), RAG_ECANCEL, "cancelled");
	open.progress = NULL;

	shutdown(listener, SHUT_RDWR);
	close(listener);
	pthread_join(thread, NULL);
	is_int(get(&r, body, sizeof(body), "127.0.0.1", "/ok", &open), RAG_ENET, "nobody listens");
	return tap_done();
}
