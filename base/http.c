#include "config.h"

#include "base/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"

#define MAX_REDIRECTS 5L
#define MAX_HEADERS ((size_t)256 << 10)	/* bytes of all headers of all redirects together */
#define STALL_RATE 100L			/* bytes a second that still count as alive */

struct transfer {
	const char *url;
	const struct http_opts *o;
	int fd;
	uint64_t max, got;
	size_t headers;
	char refused[INET6_ADDRSTRLEN];	/* the address that policy forbade; "" if none */
	int rc;				/* our own reason to stop */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* IANA special-purpose registries (RFC 6890 and its successors): all that is not
 * globally reachable. */
static bool private4(uint32_t a)
{
	static const struct { uint32_t net; int bits; } no[] = {
		{ 0x00000000, 8 }, { 0x0A000000, 8 }, { 0x64400000, 10 }, { 0x7F000000, 8 },
		{ 0xA9FE0000, 16 }, { 0xAC100000, 12 }, { 0xC0000000, 24 }, { 0xC0000200, 24 },
		{ 0xC0586300, 24 }, { 0xC0A80000, 16 }, { 0xC6120000, 15 }, { 0xC6336400, 24 },
		{ 0xCB007100, 24 }, { 0xE0000000, 4 }, { 0xF0000000, 4 },
	};

	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if ((a ^ no[i].net) >> (32 - no[i].bits) == 0)
			return true;
	return false;
}

static uint32_t be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool private6(const unsigned char a[16])
{
	static const unsigned char zero[12] = { 0 };
	static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF };
	static const unsigned char nat64[12] = { 0, 0x64, 0xFF, 0x9B };

	/* Addresses that carry an IPv4 one are what they carry. */
	if (!memcmp(a, mapped, 12) || !memcmp(a, nat64, 12))
		return private4(be32(a + 12));
	if (!memcmp(a, zero, 12))
		return true;		/* ::, ::1 and the old IPv4-compatible form */
	if (a[0] == 0x20 && a[1] == 0x02)
		return private4(be32(a + 2));	/* 6to4 */
	/* Only 2000::/3 is routed on the internet; of it, not Teredo and the other
	 * protocol assignments (2001::/23), not documentation. */
	if ((a[0] & 0xE0) != 0x20)
		return true;
	if (a[0] == 0x20 && a[1] == 0x01 && a[2] < 2)
		return true;
	return be32(a) == 0x20010DB8 || (a[0] == 0x3F && a[1] == 0xFF && a[2] < 0x10);
}

bool http_is_private(const struct sockaddr *sa, socklen_t len)
{
	if (sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		return private4(ntohl(in.sin_addr.s_addr));
	}
	if (sa->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
		struct sockaddr_in6 in;

		memcpy(&in, sa, sizeof(in));
		return private6(in.sin6_addr.s6_addr);
	}
	return true;	/* what we don't know is not the internet */
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct transfer *t = arg;
	bool (*forbidden)(const struct sockaddr *, socklen_t) =
		t->o->forbidden ? t->o->forbidden : http_is_private;

	(void)purpose;
	if (!t->o->allow_private && forbidden(&a->addr, a->addrlen)) {
		const void *raw = a->family == AF_INET
			? (const void *)&((const struct sockaddr_in *)(const void *)&a->addr)->sin_addr
			: (const void *)&((const struct sockaddr_in6 *)(const void *)&a->addr)->sin6_addr;

		if ((a->family != AF_INET && a->family != AF_INET6) ||
		    !inet_ntop(a->family, raw, t->refused, sizeof(t->refused)))
			snprintf(t->refused, sizeof(t->refused), "not IP");
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	n *= size;
	t->got += n;
	if (t->got > t->max) {
		t->rc = err_set(RAG_ELIMIT, "'%s' sends more than %llu bytes", t->url,
				(unsigned long long)t->max);
		return 0;
	}
	t->rc = file_write(t->fd, p, n);
	return t->rc ? 0 : n;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	(void)p;
	t->headers += n * size;
	if (t->headers > MAX_HEADERS) {
		t->rc = err_set(RAG_ELIMIT, "'%s' sends more than %zu bytes of headers", t->url,
				MAX_HEADERS);
		return 0;
	}
	return n * size;
}

static int on_progress(void *arg, curl_off_t total, curl_off_t now, curl_off_t ut, curl_off_t un)
{
	struct transfer *t = arg;

	(void)ut;
	(void)un;
	if (!t->rc)	/* curl calls once more behind a callback that failed */
		t->rc = progress_tick(t->o->progress, "fetch", t->url, (uint64_t)(now < 0 ? 0 : now),
				      (uint64_t)(total < 0 ? 0 : total));
	return t->rc != RAG_OK;
}

static int check_url(CURLU **out, const char *url)
{
	CURLU *u = curl_url();
	char *scheme = NULL;
	CURLUcode bad;
	int rc = RAG_OK;

	*out = NULL;
	if (!u)
		return err_set(RAG_ENOMEM, "out of memory");
	bad = curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
	if (bad)
		rc = err_set(RAG_EINVAL, "not a URL: '%s': %s", url, curl_url_strerror(bad));
	else if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0))
		rc = err_set(RAG_EINVAL, "not a URL: '%s'", url);
	else if (strcasecmp(scheme, "http") && strcasecmp(scheme, "https"))
		rc = err_set(RAG_EDENIED, "'%s': only http and https are fetched, not '%s'", url, scheme);
	curl_free(scheme);
	if (rc)
		curl_url_cleanup(u);
	else
		*out = u;
	return rc;
}

int http_canonical(char **out, const char *url)
{
	CURLU *u;
	char *s = NULL;
	int rc;

	*out = NULL;
	pthread_once(&once, init_curl);
	rc = check_url(&u, url);
	if (rc)
		return rc;
	curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
	curl_url_set(u, CURLUPART_USER, NULL, 0);
	curl_url_set(u, CURLUPART_PASSWORD, NULL, 0);
	if (!curl_url_get(u, CURLUPART_HOST, &s, 0)) {
		for (char *c = s; *c; c++)
			if (*c >= 'A' && *c <= 'Z')
				*c |= 0x20;
		curl_url_set(u, CURLUPART_HOST, s, 0);
		curl_free(s);
	}
	s = NULL;
	if (curl_url_get(u, CURLUPART_URL, &s, CURLU_NO_DEFAULT_PORT)) {
		rc = err_set(RAG_EINVAL, "not a URL: '%s'", url);
	} else {
		*out = mem_strdup(s);
		if (!*out)
			rc = RAG_ENOMEM;
	}
	curl_free(s);
	curl_url_cleanup(u);
	return rc;
}

static int explain(CURLcode bad, CURL *c, const struct transfer *t, const char *detail)
{
	const char *where = NULL;
	long status = 0;

	if (t->rc)
		return t->rc;
	if (bad && t->refused[0])
		return err_set(RAG_EDENIED, "'%s' leads to %s, a private address", t->url, t->refused);
	switch (bad) {
	case CURLE_OK:
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
		if (status == 200)
			return RAG_OK;
		return err_set(status == 404 || status == 410 ? RAG_ENOENT : RAG_ENET,
			       "'%s' answers with status %ld", t->url, status);
	case CURLE_TOO_MANY_REDIRECTS:
		return err_set(RAG_ELIMIT, "'%s' redirects more than %ld times", t->url, MAX_REDIRECTS);
	case CURLE_UNSUPPORTED_PROTOCOL:
		/* curl's word for an answer without a status line, too */
		curl_easy_getinfo(c, CURLINFO_EFFECTIVE_URL, &where);
		if (where && (!strncasecmp(where, "http:", 5) || !strncasecmp(where, "https:", 6)))
			return err_set(RAG_ENET, "'%s' does not answer in HTTP", t->url);
		return err_set(RAG_EDENIED, "'%s' leads away from http and https", t->url);
	case CURLE_OPERATION_TIMEDOUT:
		return err_set(RAG_ELIMIT, "'%s' takes too long: %s", t->url, detail);
	case CURLE_OUT_OF_MEMORY:
		return err_set(RAG_ENOMEM, "out of memory");
	default:
		return err_set(RAG_ENET, "cannot fetch '%s': %s", t->url, detail);
	}
}

int http_get(struct http_reply *out, int fd, const char *url, const struct http_opts *o)
{
	struct transfer t = { url, o, fd, o->max_bytes ? o->max_bytes : (uint64_t)256 << 20, 0, 0, "", RAG_OK };
	char errbuf[CURL_ERROR_SIZE] = "";
	CURLU *u = NULL;
	CURL *c = NULL;
	char *s = NULL;
	CURLcode bad;
	int rc;

	memset(out, 0, sizeof(*out));
	pthread_once(&once, init_curl);
	rc = check_url(&u, url);
	if (rc)
		return rc;
	c = curl_easy_init();
	if (!c) {
		rc = err_set(RAG_ENOMEM, "out of memory");
		goto fail;
	}
	curl_easy_setopt(c, CURLOPT_CURLU, u);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(c, CURLOPT_MAXREDIRS, MAX_REDIRECTS);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, o->connect_ms ? o->connect_ms : 15000L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, o->total_ms ? o->total_ms : 300000L);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, STALL_RATE);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, o->stall_s ? o->stall_s : 30L);
	curl_easy_setopt(c, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)t.max);
	curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "");
	curl_easy_setopt(c, CURLOPT_USERAGENT, "ragstone/" PACKAGE_VERSION);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, errbuf);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, &t);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, &t);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, &t);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, &t);
	if (!o->allow_private)
		curl_easy_setopt(c, CURLOPT_PROXY, "");
	bad = curl_easy_perform(c);
	if (bad == CURLE_FILESIZE_EXCEEDED)
		rc = err_set(RAG_ELIMIT, "'%s' sends more than %llu bytes", url,
			     (unsigned long long)t.max);
	else
		rc = explain(bad, c, &t, errbuf[0] ? errbuf : curl_easy_strerror(bad));
	if (rc)
		goto fail;
	out->bytes = t.got;
	curl_easy_getinfo(c, CURLINFO_CONTENT_TYPE, &s);
	out->type = mem_strdup(s ? s : "");
	s = NULL;
	curl_easy_getinfo(c, CURLINFO_EFFECTIVE_URL, &s);
	out->url = mem_strdup(s ? s : url);
	if (!out->type || !out->url)
		rc = RAG_ENOMEM;
fail:
	if (rc)
		http_reply_release(out);
	curl_easy_cleanup(c);
	curl_url_cleanup(u);
	return rc;
}

void http_reply_release(struct http_reply *r)
{
	mem_free(r->type);
	mem_free(r->url);
	memset(r, 0, sizeof(*r));
}
