/*
 * conf - where things are, from the environment and the defaults.
 *
 * The one place of the library that reads the environment:
 *   RAGSTONE_STORE     the store's directory
 *   RAGSTONE_CACHE     models and other things that can be fetched again
 *   RAGSTONE_MODEL     the generator's name or path
 *   RAGSTONE_EMBEDDER  the embedder's, for a new store
 *   RAGSTONE_PRECISION "f32" or "int8": how it computes, for a new store
 *   RAGSTONE_EXTRACT   the program that reads untrusted files
 *   RAGSTONE_KERNELS   "ref", "avx2", "avx512": at most this level
 * A value set to nothing counts as not set.
 */
#ifndef RAG_BASE_CONF_H
#define RAG_BASE_CONF_H

#include "base/buf.h"

#define CONF_EMBEDDER "all-minilm-l6-v2"
#define CONF_GENERATOR "qwen2.5-coder-0.5b-instruct"

const char *conf_env(const char *name);		/* NULL when not set; borrowed */

/* Each replaces what out held.  RAG_ENOENT when $HOME is needed and not set. */
int conf_store(struct buf *out);
int conf_cache(struct buf *out);
int conf_models(struct buf *out);
/* A model's path from its name: what contains a slash, or exists in no models
 * directory but here, is a path already.  models: NULL for the default
 * directory.  RAG_ENOENT says how to get it. */
int conf_model(struct buf *out, const char *name, const char *models);
/* One of our programs that is no user's command: beside the running program,
 * else where it was installed (the build's libexecdir).  RAG_ENOENT. */
int conf_helper(struct buf *out, const char *name);
int conf_extract(struct buf *out);	/* $RAGSTONE_EXTRACT, else conf_helper("ragstone-extract") */

#endif
