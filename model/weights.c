#include "config.h"
#include "model/weights.h"

#include "base/err.h"
#include "base/kern.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Far above any model that fits a machine, and low enough that products of
 * two of them stay inside 64 bits. */
#define MAX_LAYERS 1024
#define MAX_DIM (1 << 17)
#define MAX_FF (1 << 20)
#define MAX_HEADS 1024
#define MAX_HEAD_DIM 512
#define MAX_CTX (1 << 24)

static const struct arch {
	const char *name;
	bool halves, bias;	/* of q, k, v; others may have them */
	bool gemma;
} archs[] = {
	{ "llama", false, false, false },
	{ "qwen2", true, true, false },
	{ "gemma3", true, false, true },
};
#define GEMMA_PATTERN 6		/* of so many layers the last sees all */
#define GEMMA_LOCAL_BASE 10000

struct reader {
	struct weights *w;
	const struct arch *arch;
	const struct gguf *g;
	const char *path;
	float *next;			/* of w->small */
	size_t left;			/* floats left there */
	const struct tensor **used;	/* (n_used) */
	size_t n_used, cap;
};

static int get_arch(struct gguf_str *out, const struct gguf *g)
{
	if (!gguf_get_str(out, g, "general.architecture"))
		return err_set(RAG_EFORMAT, "'%s' has no general.architecture", gguf_path(g));
	return RAG_OK;
}

static bool arch_is(const struct gguf_str *a, const char *name)
{
	return a->len == strlen(name) && !memcmp(a->s, name, a->len);
}

static int find_arch(const struct arch **out, const struct gguf *g)
{
	static const char *const encoders[] = {
		"bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2",
		"jina-bert-v3", "neo-bert", "eurobert", "gemma-embedding", "t5encoder",
	};
	struct gguf_str a, type;
	int rc = get_arch(&a, g);

	if (rc)
		return rc;
	/* Adapters name their base's architecture and have few of its tensors. */
	if (gguf_get_str(&type, g, "general.type") && !arch_is(&type, "model"))
		return err_set(RAG_EUNSUP, "'%s' is not a generator but of type '%.*s'",
			       gguf_path(g), (int)(type.len < 40 ? type.len : 40), type.s);
	for (size_t i = 0; i < sizeof(encoders) / sizeof(encoders[0]); i++)
		if (arch_is(&a, encoders[i]))
			return err_set(RAG_EUNSUP, "'%s' is not a generator: '%s' is an encoder",
				       gguf_path(g), encoders[i]);
	for (size_t i = 0; i < sizeof(archs) / sizeof(archs[0]); i++) {
		if (arch_is(&a, archs[i].name)) {
			*out = &archs[i];
			return RAG_OK;
		}
	}
	return err_set(RAG_EUNSUP, "'%s': unknown architecture '%.*s' (llama, qwen2, gemma3)",
		       gguf_path(g), (int)(a.len < 40 ? a.len : 40), a.s);
}

int weights_check_arch(const struct gguf *g)
{
	const struct arch *a;

	return find_arch(&a, g);
}

/* ---- metadata ---- */

static void key_of(char out[96], const struct reader *r, const char *key)
{
	snprintf(out, 96, "%s.%s", r->w->arch, key);
}

/* An integer from lo to hi; absent: otherwise, or an error where that is 0. */
static int measure(size_t *out, const struct reader *r, const char *key, size_t lo, size_t hi,
		   size_t otherwise)
{
	char name[96];
	uint64_t v;

	key_of(name, r, key);
	if (!gguf_get_u64(&v, r->g, name)) {
		if (!otherwise)
			return err_set(RAG_EFORMAT, "'%s' has no %s", r->path, name);
		v = otherwise;
	}
	if (v < lo || v > hi)
		return err_set(RAG_EFORMAT, "'%s': %s is %llu, not %zu to %zu", r->path, name,
			       (unsigned long long)v, lo, hi);
	*out = (size_t)v;
	return RAG_OK;
}

/* A number from lo to hi; absent: otherwise, or an error where that is < 0. */
static int number(double *out, const struct reader *r, const char *key, double lo, double hi,
		  double otherwise)
{
	char name[96];

	key_of(name, r, key);
	if (!gguf_get_f64(out, r->g, name)) {
		if (otherwise < 0)
			return err_set(RAG_EFORMAT, "'%s' has no %s", r->path, name);
		*out = otherwise;
	}
	if (!(*out >= lo && *out <= hi))	/* NaN is out as well */
		return err_set(RAG_EFORMAT, "'%s': %s is %g, not %g to %g", r->path, name, *out,
			       lo, hi);
	return RAG_OK;
}

/* Features that change the result and that we don't compute. */
static int refuse_others(const struct reader *r)
{
	struct gguf_str s;
	char name[96];
	uint64_t n;
	double f;
	bool b;

	key_of(name, r, "rope.scaling.type");
	if (gguf_get_str(&s, r->g, name) && !arch_is(&s, "none"))
		return err_set(RAG_EUNSUP, "'%s': RoPE scaling '%.*s' is not supported", r->path,
			       (int)(s.len < 40 ? s.len : 40), s.s);
	key_of(name, r, "rope.scale_linear");
	if (gguf_get_f64(&f, r->g, name) && f != 1)
		return err_set(RAG_EUNSUP, "'%s': RoPE scaling 'linear' is not supported", r->path);
	key_of(name, r, "expert_count");
	if (gguf_get_u64(&n, r->g, name) && n)
		return err_set(RAG_EUNSUP, "'%s': mixtures of experts are not supported", r->path);
	key_of(name, r, "attn_logit_softcapping");
	if (gguf_get_f64(&f, r->g, name) && f != 0)
		return err_set(RAG_EUNSUP, "'%s': %s is not supported", r->path, name);
	key_of(name, r, "attention.causal");
	if (gguf_get_bool(&b, r->g, name) && !b)
		return err_set(RAG_EUNSUP, "'%s' is not a generator: %s is false", r->path, name);
	return RAG_OK;
}

static int frequencies(double **out, const struct weights *w, double base)
{
	*out = mem_calloc(w->n_rot / 2, sizeof(**out));
	if (!*out)
		return RAG_ENOMEM;
	for (size_t i = 0; i < w->n_rot / 2; i++)
		(*out)[i] = pow(base, -2.0 * (double)i / (double)w->n_rot);
	return RAG_OK;
}

/* What gemma3 has beside the others' measures. */
static int read_gemma(struct reader *r)
{
	static const char *const of_local[] = {
		"attention.key_length_swa", "attention.value_length_swa", "rope.dimension_count_swa",
	};
	struct weights *w = r->w;
	double base, cap;
	size_t n, pattern;
	char name[96];
	int rc;

	key_of(name, r, "attention.sliding_window_pattern");
	if (gguf_arr_len(r->g, name))
		return err_set(RAG_EUNSUP, "'%s': %s as an array is not supported", r->path, name);
	if ((rc = measure(&w->window, r, "attention.sliding_window", 1, MAX_CTX, 0)) ||
	    (rc = measure(&pattern, r, "attention.sliding_window_pattern", 1, MAX_LAYERS,
			  GEMMA_PATTERN)) ||
	    (rc = number(&base, r, "rope.freq_base_swa", 1, 1e12, GEMMA_LOCAL_BASE)) ||
	    (rc = number(&cap, r, "final_logit_softcapping", 0, 1e6, 0)) ||
	    (rc = frequencies(&w->freq[1], w, base)))
		return rc;
	for (size_t i = 0; i < sizeof(of_local) / sizeof(of_local[0]); i++) {
		size_t same = i < 2 ? w->head_dim : w->n_rot;

		if ((rc = measure(&n, r, of_local[i], same, same, same)))
			return rc;
	}
	for (size_t i = 0; i < w->n_layer; i++)
		w->layers[i].local = i % pattern < pattern - 1;
	w->gelu = true;
	w->embd_scale = sqrtf((float)w->dim);
	w->softcap = (float)cap;
	return RAG_OK;
}

static int read_measures(struct reader *r)
{
	struct weights *w = r->w;
	double eps, base;
	size_t v_dim;
	int rc;

	memcpy(w->arch, r->arch->name, strlen(r->arch->name));
	w->halves = r->arch->halves;
	w->embd_scale = 1;
	if ((rc = refuse_others(r)) ||
	    (rc = measure(&w->n_layer, r, "block_count", 1, MAX_LAYERS, 0)) ||
	    (rc = measure(&w->dim, r, "embedding_length", 1, MAX_DIM, 0)) ||
	    (rc = measure(&w->n_ff, r, "feed_forward_length", 1, MAX_FF, 0)) ||
	    (rc = measure(&w->n_ctx, r, "context_length", 1, MAX_CTX, 0)) ||
	    (rc = measure(&w->n_head, r, "attention.head_count", 1, MAX_HEADS, 0)) ||
	    (rc = measure(&w->n_kv, r, "attention.head_count_kv", 1, MAX_HEADS, w->n_head)))
		return rc;
	if (w->n_head % w->n_kv)
		return err_set(RAG_EFORMAT, "'%s': %zu query heads cannot share %zu key heads",
			       r->path, w->n_head, w->n_kv);
	if ((rc = measure(&w->head_dim, r, "attention.key_length", 2, MAX_HEAD_DIM,
			  r->arch->gemma ? 0 : w->dim / w->n_head)) ||
	    (rc = measure(&v_dim, r, "attention.value_length", 2, MAX_HEAD_DIM, w->head_dim)) ||
	    (rc = measure(&w->n_rot, r, "rope.dimension_count", 2, w->head_dim, w->head_dim)) ||
	    (rc = number(&eps, r, "attention.layer_norm_rms_epsilon", 0, 1, -1)) ||
	    (rc = number(&base, r, "rope.freq_base", 1, 1e12, 10000)))
		return rc;
	if (v_dim != w->head_dim)
		return err_set(RAG_EUNSUP, "'%s': keys of %zu and values of %zu are not supported",
			       r->path, w->head_dim, v_dim);
	if (w->n_rot % 2)
		return err_set(RAG_EFORMAT, "'%s': %zu values cannot rotate in pairs", r->path,
			       w->n_rot);
	w->eps = (float)eps;
	w->layers = mem_calloc(w->n_layer, sizeof(*w->layers));
	if (!w->layers)
		return RAG_ENOMEM;
	rc = frequencies(&w->freq[0], w, base);
	return rc || !r->arch->gemma ? rc : read_gemma(r);
}

/* ---- tensors ---- */

static void take_note(struct reader *r, const struct tensor *t)
{
	if (r->n_used < r->cap)
		r->used[r->n_used++] = t;
}

/* NULL: the file has none by that name, which is an error where it is needed. */
static int find(const struct tensor **out, struct reader *r, const char *name, bool needed,
		size_t ne0, size_t ne1)
{
	const struct tensor *t = gguf_tensor(r->g, name);

	*out = t;
	if (!t)
		return needed ? err_set(RAG_EFORMAT, "'%s': tensor '%s' is missing", r->path, name) :
				RAG_OK;
	if (t->ne[0] != ne0 || t->ne[1] != ne1 || t->ne[2] != 1 || t->ne[3] != 1)
		return err_set(RAG_EFORMAT, "'%s': tensor '%s' is %llu x %llu, not %zu x %zu",
			       r->path, name, (unsigned long long)t->ne[0],
			       (unsigned long long)t->ne[1], ne0, ne1);
	take_note(r, t);
	return RAG_OK;
}

static bool is_float(const struct tensor *t)
{
	return t->type == DT_F32 || t->type == DT_F16 || t->type == DT_BF16;
}

/* A vector, copied to floats; *out NULL when it isn't there and not needed. */
static int vector(const float **out, struct reader *r, const char *name, bool needed, size_t n)
{
	const struct tensor *t;
	int rc = find(&t, r, name, needed, n, 1);

	*out = NULL;
	if (rc || !t)
		return rc;
	if (!is_float(t) || n > r->left)
		return err_set(RAG_EUNSUP, "'%s': tensor '%s' of type %s should be F32", r->path,
			       name, dtype_name((int)t->type));
	dequant_row(r->next, t->type, t->data, n);
	*out = r->next;
	r->next += n;
	r->left -= n;
	return RAG_OK;
}

static int matrix(struct linear *out, struct reader *r, const char *stem, bool needed, bool bias,
		  size_t in, size_t n)
{
	char name[64];
	int rc;

	snprintf(name, sizeof(name), "%s.weight", stem);
	rc = find(&out->w, r, name, needed, in, n);
	if (rc || !out->w)
		return rc;
	snprintf(name, sizeof(name), "%s.bias", stem);
	return vector(&out->bias, r, name, bias, n);
}

static int layer_matrix(struct linear *out, struct reader *r, size_t i, const char *what,
			bool bias, size_t in, size_t n)
{
	char stem[48];

	snprintf(stem, sizeof(stem), "blk.%zu.%s", i, what);
	return matrix(out, r, stem, true, bias, in, n);
}

static int layer_norm(const float **out, struct reader *r, size_t i, const char *what, size_t n)
{
	char name[64];

	snprintf(name, sizeof(name), "blk.%zu.%s.weight", i, what);
	return vector(out, r, name, true, n);
}

static int read_gemma_norms(struct reader *r, size_t i)
{
	struct weights *w = r->w;
	struct layer *l = &w->layers[i];
	int rc;

	if ((rc = layer_norm(&l->q_norm, r, i, "attn_q_norm", w->head_dim)) ||
	    (rc = layer_norm(&l->k_norm, r, i, "attn_k_norm", w->head_dim)) ||
	    (rc = layer_norm(&l->attn_post, r, i, "post_attention_norm", w->dim)) ||
	    (rc = layer_norm(&l->ffn_post, r, i, "post_ffw_norm", w->dim)))
		return rc;
	return RAG_OK;
}

static int read_layer(struct reader *r, size_t i)
{
	struct weights *w = r->w;
	struct layer *l = &w->layers[i];
	size_t dim = w->dim, q = w->n_head * w->head_dim, kv = w->n_kv * w->head_dim;
	bool bias = r->arch->bias;
	int rc;

	if ((rc = layer_norm(&l->attn_norm, r, i, "attn_norm", dim)) ||
	    (rc = layer_norm(&l->ffn_norm, r, i, "ffn_norm", dim)) ||
	    (rc = layer_matrix(&l->q, r, i, "attn_q", bias, dim, q)) ||
	    (rc = layer_matrix(&l->k, r, i, "attn_k", bias, dim, kv)) ||
	    (rc = layer_matrix(&l->v, r, i, "attn_v", bias, dim, kv)) ||
	    (rc = layer_matrix(&l->o, r, i, "attn_output", false, q, dim)) ||
	    (rc = layer_matrix(&l->gate, r, i, "ffn_gate", false, dim, w->n_ff)) ||
	    (rc = layer_matrix(&l->up, r, i, "ffn_up", false, dim, w->n_ff)) ||
	    (rc = layer_matrix(&l->down, r, i, "ffn_down", false, w->n_ff, dim)))
		return rc;
	return r->arch->gemma ? read_gemma_norms(r, i) : RAG_OK;
}

/* Llama 3 divides each frequency by a factor of its own. */
static int read_rope_factors(struct reader *r)
{
	struct weights *w = r->w;
	const float *f;
	int rc = vector(&f, r, "rope_freqs.weight", false, w->n_rot / 2);

	for (size_t i = 0; !rc && f && i < w->n_rot / 2; i++) {
		if (!(f[i] > 0 && f[i] < 1e6f))
			return err_set(RAG_EFORMAT, "'%s': rope_freqs.weight has a factor of %g",
				       r->path, (double)f[i]);
		w->freq[0][i] /= (double)f[i];
	}
	return rc;
}

static int refuse_unused(const struct reader *r)
{
	size_t n = gguf_n_tensors(r->g);

	if (n == r->n_used)
		return RAG_OK;
	for (size_t i = 0; i < n; i++) {	/* ends at the first of them */
		const struct tensor *t = gguf_tensor_at(r->g, i);
		size_t j = 0;

		while (j < r->n_used && r->used[j] != t)
			j++;
		if (j == r->n_used)
			return err_set(RAG_EUNSUP, "'%s': tensor '%s' has no place in architecture '%s'",
				       r->path, t->name, r->w->arch);
	}
	return RAG_OK;
}

static int read_tensors(struct reader *r, size_t n_vocab)
{
	struct weights *w = r->w;
	struct linear embd = { NULL, NULL };
	int rc;

	if ((rc = matrix(&embd, r, "token_embd", true, false, w->dim, n_vocab)) ||
	    (rc = vector(&w->out_norm, r, "output_norm.weight", true, w->dim)) ||
	    (rc = matrix(&w->output, r, "output", false, false, w->dim, n_vocab)) ||
	    (rc = read_rope_factors(r)))
		return rc;
	w->embd = embd.w;
	w->n_vocab = n_vocab;
	if (!w->output.w)
		w->output.w = w->embd;
	for (size_t i = 0; i < w->n_layer; i++)
		if ((rc = read_layer(r, i)))
			return rc;
	return refuse_unused(r);
}

int weights_read(struct weights *out, const struct gguf *g, size_t n_vocab)
{
	struct reader r = { .w = out, .g = g, .path = gguf_path(g) };
	size_t n_small = 0;
	int rc;

	memset(out, 0, sizeof(*out));
	if ((rc = find_arch(&r.arch, g)) || (rc = read_measures(&r)))
		return rc;
	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct tensor *t = gguf_tensor_at(g, i);

		/* A data pointer inside the mapping bounds ne[0]: no overflow. */
		if (is_float(t) && t->ne[1] == 1 && t->ne[2] == 1 && t->ne[3] == 1)
			n_small += t->ne[0];
	}
	r.cap = gguf_n_tensors(g);
	r.left = n_small;
	out->small = r.next = mem_calloc(n_small, sizeof(*out->small));
	r.used = mem_calloc(r.cap, sizeof(*r.used));
	rc = out->small && r.used ? read_tensors(&r, n_vocab) : RAG_ENOMEM;
	mem_free(r.used);
	return rc;
}

void weights_release(struct weights *w)
{
	mem_free(w->layers);
	mem_free(w->small);
	mem_free(w->freq[0]);
	mem_free(w->freq[1]);
	memset(w, 0, sizeof(*w));
}
