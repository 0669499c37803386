/*
 * line - reading a line from a person, with editing, history and completion
 * (libedit, fenced here), or from a pipe.
 */
#ifndef RAG_SRC_LINE_H
#define RAG_SRC_LINE_H

#include <stdbool.h>
#include <stddef.h>

struct line;

/* path: the file that keeps the history, or NULL.  words: what Tab completes at the
 * start of a line, NULL-terminated; lives as long as *out.  NULL: no memory. */
struct line *line_open(const char *prompt, const char *path, const char *const *words,
		       bool interactive);
void line_close(struct line *l);	/* saves the history */

enum line_got { LINE_OK, LINE_END, LINE_INTERRUPTED };

/* *out has no newline and lives until the next call. */
enum line_got line_read(const char **out, struct line *l);

#endif
