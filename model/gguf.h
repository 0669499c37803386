/*
 * gguf - a GGUF file (versions 2 and 3, little endian), mapped and checked.
 *
 * Format: ggml's docs/gguf.md.  The header, every key-value pair and every
 * tensor description are checked against the file's length before gguf_open()
 * returns: afterwards each string, array and tensor lies inside the mapping.
 * Nothing is copied; all pointers live until gguf_close().  Immutable: share it.
 */
#ifndef RAG_MODEL_GGUF_H
#define RAG_MODEL_GGUF_H

#include "base/buf.h"
#include "model/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gguf;

struct gguf_str {
	const char *s;	/* not NUL-terminated */
	size_t len;
};

/* RAG_EFORMAT names file, field and offset; RAG_EUNSUP an unknown version or
 * tensor type by name.  Keys and tensors are looked up by binary search: no
 * file can make that slow.  The caller owns *out. */
int gguf_open(struct gguf **out, const char *path);
void gguf_close(struct gguf *g);

const char *gguf_path(const struct gguf *g);
/* False when the key is absent or of another type; *out untouched then. */
bool gguf_get_str(struct gguf_str *out, const struct gguf *g, const char *key);
bool gguf_get_u64(uint64_t *out, const struct gguf *g, const char *key);	/* any integer type that is >= 0 */
bool gguf_get_f64(double *out, const struct gguf *g, const char *key);		/* f32, f64 */
bool gguf_get_bool(bool *out, const struct gguf *g, const char *key);
/* Number of elements of an array; 0 when absent. */
size_t gguf_arr_len(const struct gguf *g, const char *key);
/* Borrowed element arrays: strings are walked, so iterate from 0 upwards with gguf_arr_strs. */
int gguf_arr_strs(struct gguf_str **out, size_t *n, const struct gguf *g, const char *key);	/* caller frees *out by mem_free */
bool gguf_arr_i32(const int32_t **out, size_t *n, const struct gguf *g, const char *key);	/* i32 or u32; may be unaligned: copy with memcpy */
bool gguf_arr_f32(const float **out, size_t *n, const struct gguf *g, const char *key);		/* ditto */

const struct tensor *gguf_tensor(const struct gguf *g, const char *name);	/* NULL: none */
size_t gguf_n_tensors(const struct gguf *g);
const struct tensor *gguf_tensor_at(const struct gguf *g, size_t i);
/* Every key, for `model inspect`: key and a printable value on one line
 * (strings cut at 200 bytes, arrays as "[N of TYPE]"), appended to *out. */
size_t gguf_n_keys(const struct gguf *g);
struct gguf_str gguf_key_at(const struct gguf *g, size_t i);
int gguf_value_at(struct buf *out, const struct gguf *g, size_t i);

#endif
