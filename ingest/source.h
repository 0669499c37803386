/*
 * source - what a user names, as a list of things that can be opened.
 *
 * A name is a file, a folder (walked in byte order), "-" (standard input), an
 * http(s) URL or a file: URI.  The walk follows symbolic links; a folder that
 * it has been in, by device and inode, is not entered again, so a circle ends
 * with a note.  Hidden names are passed over, and what ignore rules name
 * (ingest/ignore.h).  What cannot be read becomes an entry that says why: a
 * scan as a whole fails only for lack of memory or when it is cancelled.  The
 * same document is listed once.  Memory: about 200 bytes a file.
 */
#ifndef RAG_INGEST_SOURCE_H
#define RAG_INGEST_SOURCE_H

#include "base/progress.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum source_kind { SOURCE_FILE, SOURCE_STDIN, SOURCE_URL };

struct source {
	enum source_kind kind;
	char *uri;		/* owned: the document's name; for standard input made of its bytes: NULL */
	char *path;		/* owned: path or URL to open; for messages "-" */
	uint64_t size;		/* as seen by the scan; 0: not known */
	bool named;		/* by the user, not found in a folder */
	int problem;		/* RAG_OK, or why it cannot be ingested */
	bool skip;		/* the problem is one to be skipped, not a failure */
	char *why;		/* owned; the problem's message */
};

struct source_list {
	struct source *v;	/* owned (n) */
	size_t n, cap;
	struct source_root {
		char *path;	/* owned; canonical */
		bool whole;	/* no folder of it was unreadable */
	} *root;		/* owned (n_roots): the folders that were named */
	size_t n_roots, cap_roots;
	uint64_t bytes;		/* of all */
};

struct source_opts {
	const char *const *include, *const *exclude;	/* patterns, NULL-terminated; NULL: none */
	const struct progress *progress;	/* stage "scan" */
};

/* out: zeroed. */
int source_scan(struct source_list *out, const char *const *names, size_t n, const struct source_opts *o);
void source_list_release(struct source_list *l);	/* zeroed is allowed */

/* An opened source.  fd is a regular file at its beginning. */
struct source_file {
	int fd;			/* owned */
	uint64_t size;
	int64_t mtime;		/* nanoseconds; 0: not known */
	char *type;		/* owned: Content-Type, "" if not declared */
};

/* Reads standard input or the URL whole (stage "fetch").  RAG_ELIMIT beyond
 * max_bytes, before anything of a file is read. */
int source_open(struct source_file *out, const struct source *s, uint64_t max_bytes,
		bool allow_private, const struct progress *p);
void source_file_release(struct source_file *f);	/* { .fd = -1 } is allowed */

#endif
