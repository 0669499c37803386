/*
 * doc - the text that an extractor writes, made clean on the way.
 *
 * Extractors say what they see (running text, preformatted text, line and
 * paragraph ends, headings, pages); doc makes one form of it: valid UTF-8,
 * '\n' line ends, one blank line between paragraphs, no white space at line
 * ends, no control characters and none of the invisible ones that can hide
 * words from a reader.  Breaks are written when the next text comes, so that
 * a mark's offset is where its text begins.  Bounded by FRAME_MAX_TEXT.
 */
#ifndef RAG_SRC_EXTRACT_DOC_H
#define RAG_SRC_EXTRACT_DOC_H

#include "base/buf.h"
#include "ingest/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct doc {
	enum frame_kind kind;
	struct buf text, marks, title;
	struct buf about;		/* lines "key=value" */
	size_t n_marks;
	char warning[FRAME_MAX_MESSAGE];	/* "" if none */
	/* what the next text is preceded by */
	int breaks;			/* newlines owed: 0, 1, 2 */
	size_t spaces;			/* spaces owed by preformatted text; running text: 0 or 1 */
	uint32_t page;			/* page mark owed; 0: none */
	uint32_t last_page;
	int level;			/* heading being written; 0: none */
	size_t heading_at;		/* where its text began; SIZE_MAX: not yet */
};

int doc_init(struct doc *d);
void doc_release(struct doc *d);

/* Valid UTF-8; white space of any kind counts as one space. */
int doc_text(struct doc *d, const char *s, size_t n);
/* Valid UTF-8; spaces and line ends count, a form feed begins the next page if pages. */
int doc_raw(struct doc *d, const char *s, size_t n, bool pages);
void doc_line(struct doc *d);			/* the next text begins a line */
void doc_para(struct doc *d);			/* the next text begins a paragraph */
void doc_page(struct doc *d, uint32_t page);	/* the next text begins this page */
void doc_heading(struct doc *d, int level);	/* a heading of level 1 .. 6 begins */
int doc_heading_end(struct doc *d);
/* The first that is not empty is kept. */
int doc_title(struct doc *d, const char *s, size_t n);
/* Metadata: key in small letters, '_' for what a filter's key may not hold, value on one
 * line; nothing where either is empty.  Beyond FRAME_MAX_ABOUT a warning. */
int doc_about(struct doc *d, const char *key, const char *value, size_t n);
/* The same for each part between the separators. */
int doc_about_list(struct doc *d, const char *key, const char *value, size_t n, const char *separators);
/* Takes the first heading of level 1 for the title if there is none. */
int doc_finish(struct doc *d);

/* An extractor: data is the whole file.  type and name: what the caller knows
 * of it ("text/html; charset=x", "page.html"), "" if nothing. */
struct input {
	const char *data;
	size_t len;
	const char *type, *name;
};

/* *skip: where what follows the front matter begins; 0: there is none. */
int extract_front(size_t *skip, struct doc *d, const char *s, size_t n);
int extract_text(struct doc *d, const char *s, size_t n);	/* UTF-8 */
int extract_markdown(struct doc *d, const char *s, size_t n);
int extract_html(struct doc *d, const char *s, size_t n);
int extract_html_part(struct doc *d, const char *s, size_t n);	/* HTML within another document */

/* What a program is made of: prepare may open what confinement then forbids. */
int extract_prepare(const struct input *in);
int extract_run(struct doc *d, const struct input *in);
extern const char *const extract_readable[];	/* folders that may be read under confinement; NULL-terminated */

#endif
