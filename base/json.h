/*
 * json - reading (through jansson) and writing JSON text (RFC 8259).
 *
 * Reading gives a tree that is freed as a whole; getters return a default
 * when a member is absent or of another kind, so callers check ranges, not
 * shapes.  Writing appends to a buf: json_add_str() quotes and escapes, and
 * replaces invalid UTF-8 by U+FFFD, so that our output is always valid.
 * A tree is immutable: share it.
 */
#ifndef RAG_BASE_JSON_H
#define RAG_BASE_JSON_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json;	/* a node; all nodes but the root are borrowed from the root */

/* RAG_EFORMAT names line and column.  what: the file's name for messages.
 * The caller owns *out. */
int json_parse(struct json **out, const char *text, size_t len, const char *what);
/* The same for a text that begins in that line (from 1) of what: JSONL. */
int json_parse_line(struct json **out, const char *text, size_t len, const char *what, size_t line);
void json_free(struct json *root);		/* NULL is allowed */

const struct json *json_get(const struct json *obj, const char *key);	/* NULL: absent */
const struct json *json_at(const struct json *arr, size_t i);		/* NULL: beyond */
size_t json_len(const struct json *arr_or_obj);				/* 0 for others */
bool json_is_str(const struct json *j);
bool json_is_arr(const struct json *j);
bool json_is_obj(const struct json *j);
const char *json_str(const struct json *j, const char *otherwise);	/* borrowed */
size_t json_str_len(const struct json *j);	/* may hold NULs */
int64_t json_int(const struct json *j, int64_t otherwise);
double json_num(const struct json *j, double otherwise);
bool json_bool(const struct json *j, bool otherwise);
/* Each member in order: start with *it = NULL; false at the end. */
bool json_next(const struct json *obj, void **it, const char **key, const struct json **value);

int json_add_str(struct buf *b, const char *s, size_t n);	/* "s", quotes included */
int json_add_key(struct buf *b, const char *key);		/* `, "key": `, without the comma behind { */
int json_add_float(struct buf *b, double v);	/* shortest of %.9g; null for what is not finite */

#endif
