/*
 * frame - what ragstone-extract writes: one record about one file.
 *
 *	OFFSET SIZE
 *	   0    8  "ragxtr2\n"
 *	   8    4  status: 0, or a negative enum rag_err (two's complement)
 *	  12    4  kind: enum frame_kind
 *	  16    4  length of the title
 *	  20    4  length of the message: the error, or a warning when status is 0
 *	  24    4  number of marks
 *	  28    4  bytes of all marks
 *	  32    8  length of the text
 *	  40    4  length of the metadata
 *	  44       title, message, metadata, marks, text; nothing behind
 *
 *	the metadata: lines "key=value", each with its '\n', neither empty; a key may
 *	come again
 *
 *	a mark:
 *	   0    8  offset in the text, ascending
 *	   8    4  value: page from 1, or heading level 1 .. 6
 *	  12    1  enum frame_mark
 *	  13    1  zero
 *	  14    2  length of the label (the heading's text), then the label
 *
 * Little-endian.  Written as a whole at the end, so half a record means that
 * the writer died.  The reader believes none of it (ingest/extract.c): the
 * writer has parsed hostile bytes.
 */
#ifndef RAG_INGEST_FRAME_H
#define RAG_INGEST_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_MAGIC "ragxtr2\n"
#define FRAME_HEAD 44
#define FRAME_MARK 16
#define FRAME_MAX_TITLE 1024	/* longer ones are no titles: cut */
#define FRAME_MAX_LABEL 1024
#define FRAME_MAX_MESSAGE 500
#define FRAME_MAX_ABOUT ((size_t)16 << 10)
#define FRAME_MAX_VALUE 1024	/* of a line of metadata: cut */
#define FRAME_MAX_TEXT ((size_t)64 << 20)
#define FRAME_MAX_MARKS ((size_t)1 << 20)
#define FRAME_MAX_MARK_BYTES ((size_t)64 << 20)

/* The limits under which ragstone-extract puts itself; its caller adds EXTRACT_WALL_S. */
#define EXTRACT_MEMORY ((size_t)1 << 30)	/* beside the file itself */
#define EXTRACT_CPU_S 60
#define EXTRACT_WALL_S 180			/* three times: the machine may be busy */
#define EXTRACT_EXIT_MEMORY 71			/* exit code: the memory limit was hit */
#define EXTRACT_EXIT_CONFINE 72			/* exit code: it could not lock itself in */

enum frame_kind { KIND_NONE, KIND_TEXT, KIND_MARKDOWN, KIND_HTML, KIND_PDF, KIND_END };
enum frame_mark { MARK_PAGE = 1, MARK_HEADING };

static inline void frame_put(unsigned char *p, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		p[i] = (unsigned char)(v >> (8 * i));
}

static inline uint64_t frame_get(const unsigned char *p, int bytes)
{
	uint64_t v = 0;

	for (int i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

#endif
