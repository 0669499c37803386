/*
 * http - one GET of an http or https URL, into a descriptor (libcurl).
 *
 * A URL may come from a stranger, and what answers may be hostile.  Each
 * address is checked in the moment in which a socket is opened for it, so a
 * name that resolves differently the second time, a redirect or a decimal or
 * IPv6-mapped spelling cannot lead to loopback, private, link-local or
 * metadata addresses.  Redirects, bytes (after decompression), header bytes
 * and time are bounded.  Proxies of the environment are used only where
 * private addresses are allowed: behind one, no address can be checked.
 * Reentrant.
 */
#ifndef RAG_BASE_HTTP_H
#define RAG_BASE_HTTP_H

#include "base/progress.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct http_opts {
	uint64_t max_bytes;		/* of the body; 0: 256 MiB */
	bool allow_private;
	bool (*forbidden)(const struct sockaddr *sa, socklen_t len);	/* NULL: http_is_private() */
	long connect_ms, total_ms;	/* 0: 15 s, 5 min */
	long stall_s;			/* under 100 bytes a second for so long; 0: 30 s */
	const struct progress *progress;	/* stage "fetch" */
};
#define HTTP_OPTS_INIT { 0, false, NULL, 0, 0, 0, NULL }

struct http_reply {
	char *type;	/* Content-Type, "" if none; owned */
	char *url;	/* after redirects; owned */
	uint64_t bytes;
};

/* Every message names the URL.  RAG_EDENIED: scheme or address; RAG_ELIMIT: a
 * bound; RAG_ENET: lookup, connection, status other than 200; RAG_EINVAL: no URL. */
int http_get(struct http_reply *out, int fd, const char *url, const struct http_opts *o);
void http_reply_release(struct http_reply *r);	/* zeroed is allowed */

/* The URL as a document's name: scheme and host in small letters, without
 * user, password and fragment.  The caller frees *out by mem_free(). */
int http_canonical(char **out, const char *url);

/* Is this an address that a stranger's URL must not reach? */
bool http_is_private(const struct sockaddr *sa, socklen_t len);

#endif
