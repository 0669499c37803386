/*
 * safetensors - a .safetensors file, mapped and checked.
 *
 * Format: huggingface/safetensors README (8 bytes length, JSON header, data).
 * Offsets must lie inside the file, agree with dtype and shape, and not
 * overlap.  Shapes are turned round into ne[] (ne[0] fastest); a scalar has
 * one dimension of 1.  Tensors of integers or F64 are checked, but not listed:
 * no layer reads them.  Data at an address that its type can't be read from is
 * copied.  Pointers live until close.  Immutable: share it.
 */
#ifndef RAG_MODEL_SAFETENSORS_H
#define RAG_MODEL_SAFETENSORS_H

#include "model/tensor.h"

struct safetensors;

/* RAG_EFORMAT and RAG_EUNSUP name file and tensor.  The caller owns *out. */
int safetensors_open(struct safetensors **out, const char *path);
void safetensors_close(struct safetensors *s);
const struct tensor *safetensors_tensor(const struct safetensors *s, const char *name);	/* NULL: none */
size_t safetensors_n(const struct safetensors *s);
const struct tensor *safetensors_at(const struct safetensors *s, size_t i);	/* by name */

#endif
