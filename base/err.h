/*
 * err - one message for each failure, set where it is first seen.
 *
 * A function that fails returns a negative enum rag_err and has called
 * err_set() exactly once, at the place that knows the file and the position.
 * Callers pass the code up and never reword.  The message is thread-local,
 * fixed-size (so that reporting ENOMEM cannot fail) and valid until the next
 * err_set() on the same thread.  Messages: lower case, no full stop, what
 * failed first, the subject in quotes.
 */
#ifndef RAG_BASE_ERR_H
#define RAG_BASE_ERR_H

#include "base/errors.h"

#include <stdarg.h>

/* Stores the message and returns code, for `return err_set(...)`. */
int err_set(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " before the current message: the one permitted addition, by
 * a caller that knows the document's name where the callee knew only bytes. */
int err_within(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

const char *err_msg(void);	/* "" if nothing failed on this thread */
void err_clear(void);
const char *err_name(int code);	/* "no such file", "cancelled", ... never NULL */

#endif
