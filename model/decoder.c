#include "config.h"
#include "model/decoder.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "model/kv.h"
#include "model/matmul.h"
#include "model/tok.h"
#include "model/weights.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

/* Tokens that go through the layers together: enough to share each unpacked
 * tile of weights among many, few enough for the activations to stay in L2/L3. */
#define MICRO 512
#define PIECE 16	/* tokens that a thread takes where each is computed alone */
#define CAPPED 8192	/* logits, ditto */
#define SAMPLE 64	/* bytes of each tensor in the fingerprint */

struct decoder {
	const struct kern *kern;
	struct gguf *g;
	struct tok *tok;
	struct weights w;
	char *name;
	struct gguf_str template;
	uint8_t fingerprint[HASH_LEN];
};

struct decoder_run {
	const struct decoder *d;
	struct par *par;		/* borrowed */
	size_t n_ctx, len;
	atomic_bool broken;		/* a query or key of this micro-batch is no number */
	int32_t *tokens;		/* (n_ctx) */
	struct kv kv;
	struct matmul m;
	struct rope {
		float *cos, *sin;	/* (MICRO, n_rot / 2) of the tokens at hand */
	} rope[2];			/* as weights.freq */
	float *x, *normed;		/* (MICRO, dim) residual stream; its norm */
	float *q, *mixed;		/* (MICRO, n_head, head_dim) */
	float *k, *v;			/* (MICRO, n_kv, head_dim) */
	float *h;			/* (MICRO, n_ff) */
};

/* ---- the model ---- */

/* DIR/model.gguf for a directory.  What has other weights only is no generator. */
static int model_path(struct buf *out, const char *path)
{
	struct stat st;
	int rc;

	if (stat(path, &st) || !S_ISDIR(st.st_mode))
		return buf_adds(out, path);
	if ((rc = buf_addf(out, "%s/model.gguf", path)))
		return rc;
	if (stat(buf_str(out), &st)) {
		struct buf other = BUF_INIT;
		bool has;

		if ((rc = buf_addf(&other, "%s/model.safetensors", path)))
			return rc;
		has = !stat(buf_str(&other), &st);
		buf_release(&other);
		if (has)
			return err_set(RAG_EUNSUP, "'%s' is not a generator: it has no model.gguf",
				       path);
	}
	return RAG_OK;
}

/* Everything that names the model: keys and values, tensors and their shapes,
 * and some bytes of each, so that two trainings of one shape differ. */
static int take_fingerprint(struct decoder *d)
{
	struct hash_state h;
	struct buf value = BUF_INIT;
	int rc = RAG_OK;

	hash_begin(&h);
	for (size_t i = 0; i < gguf_n_keys(d->g) && !rc; i++) {
		struct gguf_str key = gguf_key_at(d->g, i);

		buf_clear(&value);
		rc = gguf_value_at(&value, d->g, i);
		hash_add(&h, key.s, key.len);
		hash_add(&h, buf_str(&value), value.len + 1);
	}
	for (size_t i = 0; i < gguf_n_tensors(d->g); i++) {
		const struct tensor *t = gguf_tensor_at(d->g, i);
		size_t n = t->bytes < SAMPLE ? t->bytes : SAMPLE;
		uint64_t shape[5] = { (uint64_t)t->type, t->ne[0], t->ne[1], t->ne[2], t->ne[3] };

		hash_add(&h, t->name, strlen(t->name) + 1);
		hash_add(&h, shape, sizeof(shape));
		hash_add(&h, (const char *)t->data + (t->bytes - n) / 2, n);
	}
	hash_end(d->fingerprint, &h);
	buf_release(&value);
	return rc;
}

/* general.name, or else the file's name, or that of its directory for model.gguf. */
static int take_name(struct decoder *d)
{
	const char *path = gguf_path(d->g), *end = path + strlen(path), *from;
	struct gguf_str s;

	if (gguf_get_str(&s, d->g, "general.name") && s.len) {
		d->name = mem_strndup(s.s, s.len);
		return d->name ? RAG_OK : RAG_ENOMEM;
	}
	for (from = end; from > path && from[-1] != '/';)
		from--;
	if (!strcmp(from, "model.gguf") && from > path + 1) {
		end = from - 1;
		for (from = end; from > path && from[-1] != '/';)
			from--;
	}
	d->name = mem_strndup(from, (size_t)(end - from));
	return d->name ? RAG_OK : RAG_ENOMEM;
}

int decoder_open(struct decoder **out, const char *path)
{
	struct decoder *d = mem_calloc(1, sizeof(*d));
	struct buf file = BUF_INIT;
	int rc;

	if (!d)
		return RAG_ENOMEM;
	d->kern = kern_get();
	if ((rc = model_path(&file, path)) || (rc = gguf_open(&d->g, buf_str(&file))) ||
	    (rc = weights_check_arch(d->g)) || (rc = tok_from_gguf(&d->tok, d->g)) ||
	    (rc = weights_read(&d->w, d->g, tok_vocab(d->tok))) || (rc = take_name(d)) ||
	    (rc = take_fingerprint(d)))
		goto fail;
	gguf_get_str(&d->template, d->g, "tokenizer.chat_template");
	buf_release(&file);
	*out = d;
	return RAG_OK;
fail:
	buf_release(&file);
	decoder_close(d);
	return rc;
}

void decoder_close(struct decoder *d)
{
	if (!d)
		return;
	mem_free(d->name);
	weights_release(&d->w);
	tok_close(d->tok);
	gguf_close(d->g);
	mem_free(d);
}

const struct tok *decoder_tok(const struct decoder *d)
{
	return d->tok;
}

const char *decoder_arch(const struct decoder *d)
{
	return d->w.arch;
}

const char *decoder_name(const struct decoder *d)
{
	return d->name;
}

const char *decoder_template(const struct decoder *d, size_t *len)
{
	*len = d->template.len;
	return d->template.s;
}

size_t decoder_vocab(const struct decoder *d)
{
	return d->w.n_vocab;
}

size_t decoder_context(const struct decoder *d)
{
	return d->w.n_ctx;
}

const uint8_t *decoder_fingerprint(const struct decoder *d)
{
	return d->fingerprint;
}

/* ---- a run ---- */

static size_t micro(const struct decoder_run *r)
{
	return r->n_ctx < MICRO ? r->n_ctx : MICRO;
}

static bool floats(float **out, size_t count, size_t n)
{
	*out = mem_calloc(count, n * sizeof(**out));
	return *out;
}

int decoder_run_new(struct decoder_run **out, const struct decoder *d, size_t n_ctx, struct par *par)
{
	const struct weights *w = &d->w;
	size_t q = w->n_head * w->head_dim, max_k = q > w->dim ? q : w->dim, n;
	struct decoder_run *r;
	int rc;

	if (n_ctx < 1 || n_ctx > w->n_ctx)
		return err_set(RAG_EINVAL, "'%s' takes 1 to %zu tokens, not %zu", d->name, w->n_ctx,
			       n_ctx);
	r = mem_calloc(1, sizeof(*r));
	if (!r)
		return RAG_ENOMEM;
	r->d = d;
	r->par = par;
	r->n_ctx = n_ctx;
	n = micro(r);
	if ((rc = kv_init(&r->kv, d->kern, w->n_layer, w->n_head, w->n_kv, w->head_dim, n_ctx,
			  par_threads(par))) ||
	    (rc = matmul_init(&r->m, d->kern, par, w->n_ff > max_k ? w->n_ff : max_k, n)))
		goto fail;
	r->tokens = mem_calloc(n_ctx, sizeof(*r->tokens));
	for (int i = 0; i < 2 && !rc; i++)
		if (w->freq[i] && (!floats(&r->rope[i].cos, n, w->n_rot / 2) ||
				   !floats(&r->rope[i].sin, n, w->n_rot / 2)))
			rc = RAG_ENOMEM;
	if (rc || !r->tokens ||
	    !floats(&r->x, n, w->dim) || !floats(&r->normed, n, w->dim) || !floats(&r->q, n, q) ||
	    !floats(&r->mixed, n, q) || !floats(&r->k, n, w->n_kv * w->head_dim) ||
	    !floats(&r->v, n, w->n_kv * w->head_dim) || !floats(&r->h, n, w->n_ff)) {
		rc = RAG_ENOMEM;
		goto fail;
	}
	*out = r;
	return RAG_OK;
fail:
	decoder_run_free(r);
	return rc;
}

void decoder_run_free(struct decoder_run *r)
{
	if (!r)
		return;
	kv_release(&r->kv);
	matmul_release(&r->m);
	mem_free(r->tokens);
	for (int i = 0; i < 2; i++) {
		mem_free(r->rope[i].cos);
		mem_free(r->rope[i].sin);
	}
	mem_free(r->x);
	mem_free(r->normed);
	mem_free(r->q);
	mem_free(r->mixed);
	mem_free(r->k);
	mem_free(r->v);
	mem_free(r->h);
	mem_free(r);
}

size_t decoder_len(const struct decoder_run *r)
{
	return r->len;
}

size_t decoder_room(const struct decoder_run *r)
{
	return r->n_ctx - r->len;
}

void decoder_rewind(struct decoder_run *r, size_t len)
{
	if (len < r->len)
		r->len = len;
}

const int32_t *decoder_tokens(const struct decoder_run *r)
{
	return r->tokens;
}

/* ---- the forward pass ---- */

static size_t pieces(size_t n)
{
	return (n + PIECE - 1) / PIECE;
}

static size_t piece_end(size_t piece, size_t n)
{
	return (piece + 1) * PIECE < n ? (piece + 1) * PIECE : n;
}

static void rotate(float *v, const struct weights *w, const float *cos, const float *sin)
{
	size_t half = w->n_rot / 2;

	for (size_t i = 0; i < half; i++) {
		float *a = w->halves ? v + i : v + 2 * i, *b = w->halves ? a + half : a + 1;
		float x = *a, y = *b;

		*a = x * cos[i] - y * sin[i];
		*b = x * sin[i] + y * cos[i];
	}
}

/* A NaN or an infinity anywhere makes the sum one. */
static bool all_finite(const struct decoder *d, const float *v, size_t n)
{
	return isfinite(d->kern->dot(v, v, n));
}

struct place {
	struct decoder_run *r;
	size_t layer, n, pos;
};

/* Norms and rotates heads (n, head_dim) of one token. */
static void place_heads(const struct decoder *d, float *v, size_t n, const float *gain,
			const float *cos, const float *sin)
{
	const struct weights *w = &d->w;

	for (size_t h = 0; h < n; h++, v += w->head_dim) {
		if (gain)
			d->kern->rms_norm(v, v, gain, w->head_dim, w->eps);
		rotate(v, w, cos, sin);
	}
}

/* Norms and rotates queries and keys of some tokens and puts keys and values into the cache. */
static void place_piece(void *arg, size_t piece, int thread)
{
	const struct place *a = arg;
	struct decoder_run *r = a->r;
	const struct weights *w = &r->d->w;
	const struct layer *l = &w->layers[a->layer];
	const struct rope *rope = &r->rope[l->local];
	size_t dim = w->head_dim, half = w->n_rot / 2;

	(void)thread;
	for (size_t t = piece * PIECE; t < piece_end(piece, a->n); t++) {
		const float *cos = rope->cos + t * half, *sin = rope->sin + t * half;
		float *q = r->q + t * w->n_head * dim, *k = r->k + t * w->n_kv * dim;

		place_heads(r->d, q, w->n_head, l->q_norm, cos, sin);
		place_heads(r->d, k, w->n_kv, l->k_norm, cos, sin);
		/* A softmax need not pass a NaN on. */
		if (!all_finite(r->d, q, w->n_head * dim) || !all_finite(r->d, k, w->n_kv * dim))
			atomic_store(&r->broken, true);
		kv_store(&r->kv, a->layer, a->pos + t, k, r->v + t * w->n_kv * dim);
	}
}

static void angles(const struct rope *rope, const double *freq, size_t half, size_t t, size_t pos)
{
	for (size_t i = 0; i < half; i++) {
		double angle = (double)pos * freq[i];

		rope->cos[t * half + i] = (float)cos(angle);
		rope->sin[t * half + i] = (float)sin(angle);
	}
}

struct enter {
	struct decoder_run *r;
	const int32_t *ids;
	size_t n, pos;
};

/* Embeddings of some tokens, and the angles of their positions. */
static void enter_piece(void *arg, size_t piece, int thread)
{
	const struct enter *a = arg;
	struct decoder_run *r = a->r;
	const struct weights *w = &r->d->w;
	size_t row = dtype_row_bytes(w->embd->type, w->dim);

	(void)thread;
	for (size_t t = piece * PIECE; t < piece_end(piece, a->n); t++) {
		float *x = r->x + t * w->dim;

		dequant_row(x, w->embd->type, (const char *)w->embd->data + (size_t)a->ids[t] * row,
			    w->dim);
		for (size_t i = 0; i < w->dim; i++)
			x[i] *= w->embd_scale;
		for (int i = 0; i < 2 && w->freq[i]; i++)
			angles(&r->rope[i], w->freq[i], w->n_rot / 2, t, a->pos + t);
	}
}

struct join {
	struct decoder_run *r;
	float *x;
	const float *gain;
	size_t n;
};

/* x += the norm of what the layer has put beside it. */
static void join_piece(void *arg, size_t piece, int thread)
{
	const struct join *a = arg;
	const struct weights *w = &a->r->d->w;

	(void)thread;
	for (size_t t = piece * PIECE; t < piece_end(piece, a->n); t++) {
		float *x = a->x + t * w->dim, *y = a->r->normed + t * w->dim;

		a->r->d->kern->rms_norm(y, y, a->gain, w->dim, w->eps);
		for (size_t i = 0; i < w->dim; i++)
			x[i] += y[i];
	}
}

/* x (n, dim) += a layer of the input; gain: of its norm, may be NULL. */
static void join(float *x, struct decoder_run *r, size_t n, const struct linear *layer,
		 const float *gain)
{
	struct matmul_out out = { layer, gain ? r->normed : x, r->d->w.dim, !gain };
	struct join a = { r, x, gain, n };

	matmul_apply(&r->m, &out, 1);
	if (gain)
		par_for(r->par, pieces(n), join_piece, &a);
}

/* One layer of n tokens at pos, of which only the last `wanted` go on behind
 * the cache: in the last layer the others have no reader. */
static void run_layer(struct decoder_run *r, size_t layer, size_t n, size_t pos, size_t wanted)
{
	const struct weights *w = &r->d->w;
	const struct kern *kern = r->d->kern;
	const struct layer *l = &w->layers[layer];
	const struct linear *qkv[] = { &l->q, &l->k, &l->v }, *o[] = { &l->o };
	const struct linear *in[] = { &l->gate, &l->up }, *down[] = { &l->down };
	size_t q = w->n_head * w->head_dim, kv = w->n_kv * w->head_dim, skip = n - wanted;
	float *x = r->x + skip * w->dim;
	struct place place = { r, layer, n, pos };
	struct matmul_out out_qkv[] = {
		{ &l->q, r->q, q, false }, { &l->k, r->k, kv, false }, { &l->v, r->v, kv, false },
	};

	matmul_input(&r->m, r->x, n, w->dim, r->normed, l->attn_norm, w->eps, qkv, 3);
	matmul_apply(&r->m, out_qkv, 3);
	par_for(r->par, pieces(n), place_piece, &place);
	if (!wanted)
		return;
	kv_attend(r->mixed, &r->kv, layer, r->q + skip * q, wanted, pos + skip,
		  l->local ? w->window : w->n_ctx, r->par);
	matmul_input(&r->m, r->mixed, wanted, q, NULL, NULL, 0, o, 1);
	join(x, r, wanted, &l->o, l->attn_post);

	matmul_input(&r->m, x, wanted, w->dim, r->normed, l->ffn_norm, w->eps, in, 2);
	matmul_gated(r->h, &r->m, &l->gate, &l->up, w->gelu ? kern->gelu_mul : kern->silu_mul);
	matmul_input(&r->m, r->h, wanted, w->n_ff, NULL, NULL, 0, down, 1);
	join(x, r, wanted, &l->down, l->ffn_post);
}

struct cap {
	float *logits;
	size_t n;
	float cap;
};

static void cap_piece(void *arg, size_t piece, int thread)
{
	const struct cap *a = arg;
	size_t from = piece * CAPPED, to = from + CAPPED < a->n ? from + CAPPED : a->n;

	(void)thread;
	for (size_t i = from; i < to; i++)
		a->logits[i] = a->cap * tanhf(a->logits[i] / a->cap);
}

/* Logits (wanted, vocab) of the last tokens of a micro-batch. */
static void predict(float *logits, struct decoder_run *r, size_t n, size_t wanted)
{
	const struct weights *w = &r->d->w;
	const struct linear *output[] = { &w->output };
	struct matmul_out out = { &w->output, logits, w->n_vocab, false };

	matmul_input(&r->m, r->x + (n - wanted) * w->dim, wanted, w->dim, r->normed, w->out_norm,
		     w->eps, output, 1);
	matmul_apply(&r->m, &out, 1);
	for (size_t t = 0; t < wanted; t++)
		if (!all_finite(r->d, logits + t * w->n_vocab, w->n_vocab))
			atomic_store(&r->broken, true);
	if (w->softcap != 0) {
		struct cap cap = { logits, wanted * w->n_vocab, w->softcap };

		par_for(r->par, (cap.n + CAPPED - 1) / CAPPED, cap_piece, &cap);
	}
}

/* A micro-batch; logits (wanted, vocab) of its last tokens. */
static int run_batch(float *logits, struct decoder_run *r, const int32_t *ids, size_t n, size_t pos,
		     size_t wanted, const struct progress *p, uint64_t done, uint64_t total)
{
	const struct weights *w = &r->d->w;
	struct enter enter = { r, ids, n, pos };

	par_for(r->par, pieces(n), enter_piece, &enter);
	atomic_store(&r->broken, false);
	for (size_t i = 0; i < w->n_layer; i++) {
		int rc = progress_tick(p, "read", NULL, done + n * i / w->n_layer, total);

		if (rc)
			return rc;
		run_layer(r, i, n, pos, i + 1 < w->n_layer ? n : wanted);
	}
	for (size_t t = n - wanted; t < n; t++)
		if (!all_finite(r->d, r->x + t * w->dim, w->dim))
			atomic_store(&r->broken, true);
	if (wanted)
		predict(logits, r, n, wanted);
	if (atomic_load(&r->broken))
		return err_set(RAG_EFORMAT, "'%s' computes what is no number: broken weights",
			       gguf_path(r->d->g));
	return RAG_OK;
}

static int eval(float *logits, struct decoder_run *r, const int32_t *ids, size_t n, bool all,
		const struct progress *p)
{
	size_t vocab = r->d->w.n_vocab;

	if (n > decoder_room(r))
		return err_set(RAG_ELIMIT, "%zu tokens do not fit: %zu of %zu are taken", n, r->len,
			       r->n_ctx);
	for (size_t i = 0; i < n; i++)
		if (ids[i] < 0 || (size_t)ids[i] >= vocab)
			return err_set(RAG_EINVAL, "token %d is not in the vocabulary of %zu", ids[i],
				       vocab);
	for (size_t i = 0, m; i < n; i += m) {
		size_t wanted;
		int rc;

		m = n - i < micro(r) ? n - i : micro(r);
		wanted = all ? m : logits && i + m == n ? 1 : 0;
		rc = run_batch(all ? logits + i * vocab : logits, r, ids + i, m, r->len + i, wanted,
			       p, i, n);
		if (rc)
			return rc;
	}
	if (n)
		memcpy(r->tokens + r->len, ids, n * sizeof(*ids));
	r->len += n;
	return RAG_OK;
}

int decoder_eval(float *logits, struct decoder_run *r, const int32_t *ids, size_t n,
		 const struct progress *p)
{
	if (!n && logits)
		return err_set(RAG_EINVAL, "no token to predict from");
	return eval(logits, r, ids, n, false, p);
}

int decoder_eval_all(float *logits, struct decoder_run *r, const int32_t *ids, size_t n)
{
	return eval(logits, r, ids, n, true, NULL);
}
