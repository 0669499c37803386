/*
 * charset - bytes of any encoding to valid UTF-8.
 *
 * In this order: a byte order mark, what the sender declared, what the page
 * declares (HTML meta, XML declaration), UTF-8 if the bytes are that, UTF-16
 * without a mark if every other byte is zero; then windows-1252 if the bytes
 * look like western text, else UTF-8 with the wrong bytes replaced.  Labels
 * are those of the WHATWG Encoding Standard.  iconv's converter is chosen
 * before confinement (it loads a module from disk) and run within.
 */
#ifndef RAG_SRC_EXTRACT_CHARSET_H
#define RAG_SRC_EXTRACT_CHARSET_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

struct charset;

/* type: Content-Type, "" if none.  html: look for a declaration inside.  The
 * caller owns *out. */
int charset_choose(struct charset **out, const char *s, size_t n, const char *type, bool html);
void charset_free(struct charset *c);

/* *text: s itself when nothing has to change, else into *tmp.  RAG_EUNSUP: "not
 * text".  warning (size bytes) says what was replaced or guessed, or is "". */
int charset_decode(const char **text, size_t *len, struct buf *tmp, char *warning, size_t size,
		   struct charset *c, const char *s, size_t n);

#endif
