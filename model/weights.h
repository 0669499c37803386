/*
 * weights - what a decoder's GGUF file says: its measures and where its tensors are.
 *
 * Every number of the metadata is checked for its range and every tensor for
 * its presence and shape, and a tensor that nothing would use is refused too:
 * a model either is what we compute, or does not open.  Matrices stay in the
 * file's mapping, in the file's type; norms and biases (a few hundred KB) are
 * copied to floats.  Immutable; everything dies with weights_release() or the
 * gguf, whichever is first.
 *
 * Architectures: llama (rotation of neighbours, 2 i and 2 i + 1), qwen2 (of
 * halves, i and i + n_rot / 2; biases of q, k, v) and gemma3 (halves; norms of
 * each query and key and of what a layer adds to the stream; GELU; scaled
 * embeddings; local layers, which see a window and rotate by a base of their
 * own; the norms' "+ 1" is in the file's gains already).
 */
#ifndef RAG_MODEL_WEIGHTS_H
#define RAG_MODEL_WEIGHTS_H

#include "model/gguf.h"

struct linear {
	const struct tensor *w;		/* ne: inputs, outputs */
	const float *bias;		/* (outputs) or NULL */
};

struct layer {
	const float *attn_norm, *ffn_norm;	/* (dim) */
	const float *q_norm, *k_norm;		/* (head_dim) NULL: none */
	const float *attn_post, *ffn_post;	/* (dim) of what is added; NULL: none */
	struct linear q, k, v, o, gate, up, down;
	bool local;			/* sees weights.window keys */
};

struct weights {
	char arch[16];
	size_t n_layer, dim, n_ff, n_vocab, n_ctx;
	size_t n_head, n_kv, head_dim, n_rot;
	float eps;
	bool halves;			/* how pairs are formed for rotation */
	bool gelu;			/* the gate's activation; else SiLU */
	float embd_scale;
	float softcap;			/* logits become softcap tanh(logits / softcap); 0: they don't */
	size_t window;			/* keys that a query of a local layer sees, its own included */
	double *freq[2];		/* (n_rot / 2) radians a position; [1] of local layers, NULL: there are none; owned */

	const struct tensor *embd;	/* (dim, n_vocab) */
	const float *out_norm;		/* (dim) */
	struct linear output;		/* the embedding again when the file has none of its own */
	struct layer *layers;		/* (n_layer) owned */
	float *small;			/* owned: every norm and bias */
};

/* n_vocab: of the tokenizer.  RAG_EUNSUP, RAG_EFORMAT name the file and the
 * key or tensor.  *out needs weights_release() after failure, too. */
int weights_read(struct weights *out, const struct gguf *g, size_t n_vocab);
void weights_release(struct weights *w);	/* zeroed is allowed */

/* RAG_EUNSUP unless the file's architecture is one that we generate with. */
int weights_check_arch(const struct gguf *g);

#endif
