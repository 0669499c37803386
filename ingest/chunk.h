/*
 * chunk - a text cut into the pieces that are embedded, found and cited.
 *
 * The units are sentences (a longer one is cut between its tokens, at white
 * space where there is some), the walls are headings: a chunk lies within one
 * section and is not made of two.  Within a section the cuts are those of
 * least cost by dynamic programming: the squared distance of each chunk from
 * the target, plus something for a cut that is not between paragraphs; so
 * chunks are of even size and no crumb is left at the end.  Chunks follow
 * each other without overlap and hold every character that is not white space.
 *
 * What is embedded is title, heading path and text (a chunk's prefix and its text), and it
 * never exceeds the embedder's length: counted with its own tokenizer, each
 * chunk once whole, so nothing is cut off unseen.  Title and path take a
 * quarter of the length at most.  Linear in the text; memory for 64 KiB of it
 * at a time.  Same text, same options: same chunks.
 */
#ifndef RAG_INGEST_CHUNK_H
#define RAG_INGEST_CHUNK_H

#include "base/buf.h"
#include "base/progress.h"
#include "index/store.h"

#include <stddef.h>
#include <stdint.h>

struct tok;

#define CHUNK_NAME "sentences/1 target=200"	/* for store_set_generation(): another way of cutting, another name */
#define CHUNK_TARGET 200	/* tokens of text */
#define CHUNK_MAX_BYTES 4096	/* where tokens are few and long (base64), bytes bound a chunk */

struct chunk_opts {
	const struct tok *tok;		/* NULL: tokens are estimated */
	size_t max_tokens;		/* of a sequence with its special tokens; 0: no bound */
	const char *title;		/* "" if none */
	const struct progress *progress;	/* may be NULL; stage "chunk" */
};

struct chunk {
	size_t start, end;
	uint32_t page, line;		/* of start; page 0: no pages */
	const char *heading;		/* path "A > B", "" if none; owned by the chunks */
	const char *prefix;		/* what goes before it to be embedded, with its '\n'; ditto */
};

struct chunks {
	struct chunk *v;		/* owned (n) */
	size_t n, cap;
	char **strings;			/* owned (n_strings) */
	size_t n_strings, cap_strings;
};

/* text: valid UTF-8; marks: ascending.  out: zeroed. */
int chunk_text(struct chunks *out, const char *text, size_t len, const struct store_mark *marks,
	       size_t n_marks, const struct chunk_opts *o);
void chunks_release(struct chunks *c);	/* zeroed is allowed */

/* Makes the prefix of a title and a heading path: *out is a string that the
 * caller frees by mem_free().  *tokens (may be NULL): its length. */
int chunk_prefix(char **out, size_t *tokens, const char *heading, const struct chunk_opts *o);

#endif
