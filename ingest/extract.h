/*
 * extract - runs ragstone-extract on a file and distrusts what it says.
 *
 * One process a file, started with posix_spawn(): the file is its descriptor
 * 0, an anonymous file in memory its descriptor 1, so it never waits for us
 * and several can run ahead.  When it has ended the memory is sealed, mapped
 * and checked byte by byte (ingest/frame.h): lengths, order, UTF-8.  Whatever
 * happens to the process (a crash, a limit, silence) is that file's error and
 * nobody else's.  One thread at a time per object.
 */
#ifndef RAG_INGEST_EXTRACT_H
#define RAG_INGEST_EXTRACT_H

#include "base/buf.h"
#include "base/progress.h"
#include "index/store.h"
#include "ingest/frame.h"

#include <stdbool.h>
#include <stddef.h>

struct extract;		/* a process, running or ended */

struct extracted {
	enum frame_kind kind;	/* also of a failure: KIND_NONE means that it is no kind of text */
	const char *text;	/* mapped, not NUL-terminated; valid UTF-8 without controls but '\n' */
	size_t len;
	char *title;		/* owned; "" if none */
	char *about;		/* owned; metadata, lines "key=value", each with its '\n'; "" if none */
	char *warning;		/* owned; NULL if none */
	struct store_mark *marks;	/* owned (n_marks), as stage_marks() wants them */
	size_t n_marks;
	struct buf labels;	/* what marks' texts point into */
	void *map;
	size_t map_len;
};

const char *extract_type(enum frame_kind kind);	/* "text/markdown", ...; "" for KIND_NONE */

/* program: path of ragstone-extract; PDF goes to PROGRAM-pdf.  fd: the file,
 * regular, borrowed for the call.  type, name: what is known of it, "" if
 * nothing.  RAG_ENOENT: no such program.  The caller owns *out. */
int extract_start(struct extract **out, const char *program, int fd, const char *type, const char *name);
/* Waits for the end, EXTRACT_WALL_S at most since the start; out is to be
 * released after a failure too.  RAG_ECANCEL by p within 0.1 s. */
int extract_finish(struct extracted *out, struct extract *x, const struct progress *p,
		   const struct progress_at *at);
void extract_free(struct extract *x);		/* kills what still runs; NULL is allowed */
void extracted_release(struct extracted *e);	/* zeroed is allowed */

/* A record as the process wrote it (fuzzed alone): fills text (borrowed from
 * record), title, about, marks, or returns the failure that it tells. */
int extracted_parse(struct extracted *out, const unsigned char *record, size_t n);

#endif
