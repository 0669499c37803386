#include "config.h"
#include "model/onnx_bert.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#define LAYERS_MAX 256
#define FACTORS 4		/* of a product: GELU has three */

struct walk {
	const struct onnx *o;
	struct bert_weights *out;
	uint8_t *seen;			/* (nodes) of depends() */
	const struct onnx_node **stack;	/* (nodes) */
	bool naming;			/* the second time round: the layers are counted */
};

struct linear {
	struct onnx_str x;		/* its input */
	const struct onnx_tensor *w, *b;
	bool turned;			/* w is (inputs, outputs) */
	size_t n, k;			/* outputs, inputs */
};
struct norm {
	struct onnx_str x;
	const struct onnx_tensor *gain, *bias;
	double eps;
};

/* ---- values ------------------------------------------------------------------------- */

/* "'x.onnx': node '/a/b' (MatMul): a layer norm is expected" */
static int unlike(const struct walk *w, struct onnx_str value, const char *what)
{
	const struct onnx_node *n = onnx_producer(w->o, value);
	struct onnx_str name = n && n->name.len ? n->name : value, op = n ? n->op : (struct onnx_str){ "", 0 };

	return err_set(RAG_EUNSUP, "'%s' is no BERT encoder: %s '%.*s'%s%.*s%s: %s", onnx_path(w->o),
		       n ? "node" : "value", (int)(name.len < 120 ? name.len : 120), name.s, op.len ? " (" : "",
		       (int)(op.len < 40 ? op.len : 40), op.s, op.len ? ")" : "", what);
}

/* The value itself, behind what only passes it on. */
static struct onnx_str source(const struct walk *w, struct onnx_str v)
{
	const struct onnx_node *n = onnx_producer(w->o, v);

	for (int hops = 0; n && n->n_in && hops < 64; hops++) {
		if (!onnx_is(n->op, "Identity") && !onnx_is(n->op, "Dropout") &&
		    !(onnx_is(n->op, "Cast") && onnx_attr_i(w->o, n, "to", 0) == ONNX_FLOAT))
			break;
		v = n->in[0];
		n = onnx_producer(w->o, v);
	}
	return v;
}

static const struct onnx_tensor *constant(const struct walk *w, struct onnx_str v)
{
	return onnx_constant(w->o, source(w, v));
}

/* The node that makes v if it does op from at least n inputs; NULL otherwise. */
static const struct onnx_node *made_by(const struct walk *w, struct onnx_str v, const char *op, size_t n)
{
	const struct onnx_node *p = onnx_producer(w->o, source(w, v));

	return p && onnx_is(p->op, op) && p->n_in >= n && !p->domain.len ? p : NULL;
}

static bool same(const struct walk *w, struct onnx_str a, struct onnx_str b)
{
	return onnx_same(source(w, a), source(w, b));
}

/* Is v the one number x, nearly? */
static bool is_number(const struct walk *w, struct onnx_str v, double x)
{
	const struct onnx_tensor *t = constant(w, v);
	double have;

	return t && t->count == 1 && onnx_number(&have, t, 0) && fabs(have - x) <= 1e-4 * fabs(x);
}

static bool is_vector(const struct onnx_tensor *t)
{
	return t && t->type == ONNX_FLOAT && t->n_dims == 1 && t->data && !t->varints;
}

static bool is_matrix(const struct onnx_tensor *t)
{
	return t && t->type == ONNX_FLOAT && t->n_dims == 2 && t->data && !t->varints;
}

/* Does v depend on the words of an input but `allowed` (NULL: on any input)?  Shapes of values
 * do not count as words. */
static bool depends(struct walk *w, struct onnx_str v, const char *allowed)
{
	size_t n_stack = 0;
	struct onnx_str one[1] = { v };
	const struct onnx_str *in = one;
	size_t n_in = 1;

	memset(w->seen, 0, onnx_n_nodes(w->o));
	for (;;) {
		for (size_t i = 0; i < n_in; i++) {
			const struct onnx_node *p = onnx_producer(w->o, in[i]);
			size_t at = p ? onnx_node_index(w->o, p) : 0;

			if (!p && onnx_is_input(w->o, in[i]) && !(allowed && onnx_is(in[i], allowed)))
				return true;
			if (!p || w->seen[at] || onnx_is(p->op, "Shape") || onnx_is(p->op, "Size"))
				continue;
			w->seen[at] = 1;
			w->stack[n_stack++] = p;
		}
		if (!n_stack)
			return false;
		in = w->stack[--n_stack]->in;
		n_in = w->stack[n_stack]->n_in;
	}
}

/* ---- parts -------------------------------------------------------------------------- */

/* x W + b; false if v is something else. */
static bool is_linear(struct linear *l, const struct walk *w, struct onnx_str v)
{
	const struct onnx_node *add = made_by(w, v, "Add", 2), *mul = NULL, *turn;
	int64_t perm[2];

	for (int i = 0; add && !mul && i < 2; i++) {
		l->b = constant(w, add->in[i]);
		mul = l->b ? made_by(w, add->in[!i], "MatMul", 2) : NULL;
	}
	if (!mul || !is_vector(l->b))
		return false;
	l->x = mul->in[0];
	l->w = constant(w, mul->in[1]);
	l->turned = true;
	turn = made_by(w, mul->in[1], "Transpose", 1);
	if (!l->w && turn && onnx_attr_ints(perm, 2, w->o, turn, "perm") && perm[0] == 1 && perm[1] == 0) {
		l->w = constant(w, turn->in[0]);
		l->turned = false;
	}
	if (!is_matrix(l->w))
		return false;
	l->n = (size_t)l->w->ne[l->turned];
	l->k = (size_t)l->w->ne[!l->turned];
	return l->b->ne[0] == l->n;
}

/* (x - mean) / sqrt(variance + eps): x and eps. */
static bool is_centred(struct norm *n, const struct walk *w, struct onnx_str v)
{
	const struct onnx_node *div = made_by(w, v, "Div", 2), *sub, *mean, *root, *sum, *var, *pow = NULL;
	const struct onnx_tensor *eps = NULL;

	sub = div ? made_by(w, div->in[0], "Sub", 2) : NULL;
	mean = sub ? made_by(w, sub->in[1], "ReduceMean", 1) : NULL;
	root = mean && same(w, sub->in[0], mean->in[0]) ? made_by(w, div->in[1], "Sqrt", 1) : NULL;
	sum = root ? made_by(w, root->in[0], "Add", 2) : NULL;
	var = NULL;
	for (int i = 0; sum && !var && i < 2; i++) {
		eps = constant(w, sum->in[i]);
		var = eps ? made_by(w, sum->in[!i], "ReduceMean", 1) : NULL;
	}
	if (!var || eps->count != 1 || !onnx_number(&n->eps, eps, 0))
		return false;
	pow = made_by(w, var->in[0], "Pow", 2);
	if (pow ? !same(w, pow->in[0], div->in[0]) || !is_number(w, pow->in[1], 2) :
		  !((pow = made_by(w, var->in[0], "Mul", 2)) && same(w, pow->in[0], div->in[0]) &&
		    same(w, pow->in[1], div->in[0])))
		return false;
	n->x = sub->in[0];
	return true;
}

static bool is_norm(struct norm *n, const struct walk *w, struct onnx_str v)
{
	const struct onnx_node *one = made_by(w, v, "LayerNormalization", 3), *add, *mul = NULL;
	bool found = false;

	if (one) {
		n->x = one->in[0];
		n->gain = constant(w, one->in[1]);
		n->bias = constant(w, one->in[2]);
		n->eps = onnx_attr_f(w->o, one, "epsilon", 1e-5f);
		return is_vector(n->gain) && is_vector(n->bias) && onnx_attr_i(w->o, one, "axis", -1) == -1;
	}
	add = made_by(w, v, "Add", 2);
	for (int i = 0; add && !mul && i < 2; i++) {
		n->bias = constant(w, add->in[i]);
		mul = is_vector(n->bias) ? made_by(w, add->in[!i], "Mul", 2) : NULL;
	}
	for (int i = 0; mul && !found && i < 2; i++) {
		n->gain = constant(w, mul->in[i]);
		found = is_vector(n->gain) && is_centred(n, w, mul->in[!i]);
	}
	return found;
}

/* The factors of a product of products. */
static size_t factors(struct onnx_str out[FACTORS], const struct walk *w, struct onnx_str v, size_t n)
{
	const struct onnx_node *mul = n < FACTORS ? made_by(w, v, "Mul", 2) : NULL;

	if (!mul) {
		if (n < FACTORS)
			out[n] = v;
		return n + 1;
	}
	n = factors(out, w, mul->in[0], n);
	return n < FACTORS ? factors(out, w, mul->in[1], n) : n;
}

/* x / 2 * (1 + erf(x / sqrt(2))) */
static bool is_gelu(struct onnx_str *x, const struct walk *w, struct onnx_str v)
{
	const struct onnx_node *one = made_by(w, v, "Gelu", 1), *add, *erf = NULL, *in;
	struct onnx_str f[FACTORS];
	int half = -1, bracket = -1;

	if (one) {
		*x = one->in[0];
		return !onnx_is(onnx_attr_s(w->o, one, "approximate"), "tanh");
	}
	if (factors(f, w, v, 0) != 3)
		return false;
	for (int i = 0; i < 3; i++) {
		if (is_number(w, f[i], .5))
			half = i;
		add = made_by(w, f[i], "Add", 2);
		for (int k = 0; add && k < 2 && !erf; k++) {
			erf = is_number(w, add->in[k], 1) ? made_by(w, add->in[!k], "Erf", 1) : NULL;
			bracket = i;
		}
	}
	if (half < 0 || !erf)
		return false;
	*x = f[3 - half - bracket];
	in = made_by(w, erf->in[0], "Div", 2);
	if (in)
		return same(w, in->in[0], *x) && is_number(w, in->in[1], sqrt(2));
	in = made_by(w, erf->in[0], "Mul", 2);
	return in && same(w, in->in[0], *x) && is_number(w, in->in[1], sqrt(.5));
}

/* ---- attention ---------------------------------------------------------------------- */

struct heads {
	struct linear l;
	double n, width;
};

/* The last two of four dimensions: a constant, or pieces joined. */
static bool is_shape(struct heads *h, const struct walk *w, struct onnx_str v)
{
	const struct onnx_tensor *t = constant(w, v), *last[2];
	const struct onnx_node *join;

	if (t)
		return t->count == 4 && onnx_number(&h->n, t, 2) && onnx_number(&h->width, t, 3);
	join = made_by(w, v, "Concat", 4);
	if (!join || join->n_in != 4)
		return false;
	last[0] = constant(w, join->in[2]);
	last[1] = constant(w, join->in[3]);
	return last[0] && last[1] && last[0]->count == 1 && last[1]->count == 1 &&
	       onnx_number(&h->n, last[0], 0) && onnx_number(&h->width, last[1], 0);
}

static const struct onnx_node *turned_by(const struct walk *w, struct onnx_str v, int a, int b, int c, int d)
{
	const struct onnx_node *t = made_by(w, v, "Transpose", 1);
	int64_t p[4];

	return t && onnx_attr_ints(p, 4, w->o, t, "perm") && p[0] == a && p[1] == b && p[2] == c && p[3] == d
		? t : NULL;
}

/* A linear layer cut into heads: (batch, head, token, width), or for keys with the last two turned. */
static bool is_heads(struct heads *h, const struct walk *w, struct onnx_str v, bool keys)
{
	const struct onnx_node *turn = keys ? turned_by(w, v, 0, 2, 3, 1) : turned_by(w, v, 0, 2, 1, 3), *cut;

	if (!turn && keys) {
		turn = turned_by(w, v, 0, 1, 3, 2);
		turn = turn ? turned_by(w, turn->in[0], 0, 2, 1, 3) : NULL;
	}
	cut = turn ? made_by(w, turn->in[0], "Reshape", 2) : NULL;
	return cut && is_shape(h, w, cut->in[1]) && is_linear(&h->l, w, cut->in[0]);
}

/* What v is a multiple of; *scale is multiplied by the factor, or NAN where that comes from
 * shapes at run time. */
static struct onnx_str unscaled(double *scale, struct walk *w, struct onnx_str v)
{
	for (int hops = 0; hops < 8; hops++) {
		const struct onnx_node *div = made_by(w, v, "Div", 2), *by = div ? div : made_by(w, v, "Mul", 2);
		const struct onnx_tensor *t;
		double x = NAN;
		int i;

		if (!by)
			break;
		for (i = 1; i >= (div ? 1 : 0); i--)
			if (constant(w, by->in[i]) || !depends(w, by->in[i], NULL))
				break;
		if (i < (div ? 1 : 0))
			break;
		t = constant(w, by->in[i]);
		if (t && (t->count != 1 || !onnx_number(&x, t, 0)))
			break;
		*scale *= div ? 1 / x : x;
		v = by->in[!i];
	}
	return v;
}

/* softmax(q k / sqrt(width) + mask): q and k. */
static int scores(struct heads *q, struct heads *k, struct walk *w, struct onnx_str v)
{
	const struct onnx_node *soft = made_by(w, v, "Softmax", 1), *add, *mul = NULL;
	double scale = 1;

	if (!soft)
		return unlike(w, v, "a softmax is expected");
	if (onnx_attr_i(w->o, soft, "axis", -1) != -1 && onnx_attr_i(w->o, soft, "axis", -1) != 3)
		return unlike(w, v, "a softmax over the last dimension is expected");
	add = made_by(w, soft->in[0], "Add", 2);
	for (int i = 0; add && !mul && i < 2; i++) {
		scale = 1;
		mul = made_by(w, unscaled(&scale, w, add->in[i]), "MatMul", 2);
		if (mul && depends(w, add->in[!i], "attention_mask"))
			return unlike(w, soft->in[0], "only the attention mask may be added to the scores");
	}
	if (!add)
		mul = made_by(w, unscaled(&scale, w, soft->in[0]), "MatMul", 2);
	if (!mul || !is_heads(q, w, unscaled(&scale, w, mul->in[0]), false) ||
	    !is_heads(k, w, unscaled(&scale, w, mul->in[1]), true))
		return unlike(w, soft->in[0], "queries times keys are expected");
	if (!isnan(scale) && fabs(scale * sqrt(q->width) - 1) > 1e-3)
		return unlike(w, soft->in[0], "scores divided by the square root of a head's width are expected");
	return RAG_OK;
}

/* v: the heads' results side by side, from x. */
static int attention(struct linear qkv[3], struct walk *w, struct onnx_str v, struct onnx_str x)
{
	const struct onnx_node *join = made_by(w, v, "Reshape", 2), *turn, *mul;
	struct encoder_shape *s = &w->out->shape;
	struct heads h[3];
	int rc;

	turn = join ? turned_by(w, join->in[0], 0, 2, 1, 3) : NULL;
	mul = turn ? made_by(w, turn->in[0], "MatMul", 2) : NULL;
	if (!mul || !is_heads(&h[2], w, mul->in[1], false))
		return unlike(w, v, "attention is expected");
	rc = scores(&h[0], &h[1], w, mul->in[0]);
	for (int i = 0; !rc && i < 3; i++) {
		qkv[i] = h[i].l;
		if (h[i].n == -1)	/* Reshape's "what is left" */
			h[i].n = (double)s->hidden / h[i].width;
		if (!same(w, h[i].l.x, x))
			rc = unlike(w, h[i].l.x, "queries, keys and values of the layer's input are expected");
		else if (!(h[i].n >= 1) || h[i].n != floor(h[i].n) || h[i].n * h[i].width != (double)s->hidden)
			rc = unlike(w, v, "heads that make up the hidden size are expected");
		else if (s->heads && h[i].n != (double)s->heads)
			rc = unlike(w, v, "as many heads as elsewhere are expected");
		else
			s->heads = (size_t)h[i].n;
	}
	return rc;
}

/* ---- the whole --------------------------------------------------------------------- */

static int add_weight(struct walk *w, const char *layer, const char *name, const struct onnx_tensor *t,
		      size_t rows, size_t columns, bool turned)
{
	struct bert_weight *p;
	int rc;

	if (!w->naming)
		return RAG_OK;
	rc = bert_weights_add(&p, w->out, layer, name);
	if (rc)
		return rc;
	p->data = t->data;
	p->type = DT_F32;
	p->rows = rows;
	p->columns = columns;
	p->turned = turned;
	return RAG_OK;
}

static int add_linear(struct walk *w, const char *layer, const char *name, const struct linear *l,
		      size_t n, size_t k)
{
	char full[64];
	int rc;

	if (l->n != n || l->k != k)
		return err_set(RAG_EFORMAT, "'%s': %s%s is %zux%zu, by the others %zux%zu", onnx_path(w->o), layer,
			       name, l->n, l->k, n, k);
	snprintf(full, sizeof(full), "%s.weight", name);
	rc = add_weight(w, layer, full, l->w, n, k, l->turned);
	snprintf(full, sizeof(full), "%s.bias", name);
	return rc ? rc : add_weight(w, layer, full, l->b, 0, n, false);
}

static int add_norm(struct walk *w, const char *layer, const char *name, const struct norm *n)
{
	struct encoder_shape *s = &w->out->shape;
	char full[64];
	int rc;

	if (n->gain->ne[0] != s->hidden || n->bias->ne[0] != s->hidden)
		return err_set(RAG_EFORMAT, "'%s': %s%s has another width than %zu", onnx_path(w->o), layer, name,
			       s->hidden);
	if (s->eps != 0 && s->eps != (float)n->eps)
		return err_set(RAG_EUNSUP, "'%s': layer norms with different epsilons", onnx_path(w->o));
	s->eps = (float)n->eps;
	snprintf(full, sizeof(full), "%s.weight", name);
	rc = add_weight(w, layer, full, n->gain, 0, s->hidden, false);
	snprintf(full, sizeof(full), "%s.bias", name);
	return rc ? rc : add_weight(w, layer, full, n->bias, 0, s->hidden, false);
}

/* v = l + rest */
static bool is_residual(struct linear *l, struct onnx_str *rest, const struct walk *w, struct onnx_str v)
{
	const struct onnx_node *add = made_by(w, v, "Add", 2);

	for (int i = 0; add && i < 2; i++) {
		*rest = add->in[!i];
		if (is_linear(l, w, add->in[i]))
			return true;
	}
	return false;
}

/* The layer whose output is *v, which becomes its input. */
static int layer(struct walk *w, struct onnx_str *v, size_t number)
{
	struct encoder_shape *s = &w->out->shape;
	struct linear up, down, out, qkv[3];
	struct norm after_ffn, after_attention;
	struct onnx_str x, middle, inner;
	char at[40];
	int rc;

	if (!is_norm(&after_ffn, w, *v))
		return unlike(w, *v, "a layer norm is expected");
	if (!is_residual(&down, &middle, w, after_ffn.x))
		return unlike(w, after_ffn.x, "a linear layer added to its input is expected");
	if (!is_gelu(&inner, w, down.x))
		return unlike(w, down.x, "GELU in its erf form is expected");
	if (!is_linear(&up, w, inner) || !same(w, up.x, middle))
		return unlike(w, inner, "a linear layer of what attention gave is expected");
	if (!is_norm(&after_attention, w, middle))
		return unlike(w, middle, "a layer norm is expected");
	if (!is_residual(&out, &x, w, after_attention.x))
		return unlike(w, after_attention.x, "a linear layer added to its input is expected");
	s->hidden = s->hidden ? s->hidden : down.n;
	s->ffn = s->ffn ? s->ffn : up.n;
	rc = attention(qkv, w, out.x, x);
	if (rc)
		return rc;
	snprintf(at, sizeof(at), "encoder.layer.%zu.", number);
	if ((rc = add_linear(w, at, "attention.self.query", &qkv[0], s->hidden, s->hidden)) ||
	    (rc = add_linear(w, at, "attention.self.key", &qkv[1], s->hidden, s->hidden)) ||
	    (rc = add_linear(w, at, "attention.self.value", &qkv[2], s->hidden, s->hidden)) ||
	    (rc = add_linear(w, at, "attention.output.dense", &out, s->hidden, s->hidden)) ||
	    (rc = add_norm(w, at, "attention.output.LayerNorm", &after_attention)) ||
	    (rc = add_linear(w, at, "intermediate.dense", &up, s->ffn, s->hidden)) ||
	    (rc = add_linear(w, at, "output.dense", &down, s->hidden, s->ffn)) ||
	    (rc = add_norm(w, at, "output.LayerNorm", &after_ffn)))
		return rc;
	*v = x;
	return RAG_OK;
}

/* The three tables whose rows are added up: a + b + c, in either order of the two sums. */
static bool is_sum_of_tables(const struct onnx_node *table[3], const struct walk *w, struct onnx_str v)
{
	const struct onnx_node *sum = made_by(w, v, "Add", 2), *inner = NULL;

	for (int i = 0; sum && !inner && i < 2; i++) {
		inner = made_by(w, sum->in[i], "Add", 2);
		table[0] = made_by(w, sum->in[!i], "Gather", 2);
	}
	if (!inner)
		return false;
	table[1] = made_by(w, inner->in[0], "Gather", 2);
	table[2] = made_by(w, inner->in[1], "Gather", 2);
	return table[0] && table[1] && table[2];
}

static int embeddings(struct walk *w, const struct norm *norm, const struct onnx_node *table[3])
{
	static const char *const names[] = { "word_embeddings.weight", "position_embeddings.weight",
					     "token_type_embeddings.weight" };
	struct encoder_shape *s = &w->out->shape;
	size_t *rows[] = { &s->vocab, &s->positions, &s->types };
	const struct onnx_tensor *t[3] = { NULL };
	int rc;

	for (int i = 0; i < 3; i++) {
		struct onnx_str ids = source(w, table[i]->in[1]);
		const struct onnx_tensor *m = constant(w, table[i]->in[0]);
		int kind = onnx_is(ids, "input_ids") ? 0 : onnx_is(ids, "token_type_ids") ? 2 : 1;

		if (!is_matrix(m) || onnx_attr_i(w->o, table[i], "axis", 0) != 0)
			return unlike(w, table[i]->out[0], "a table of embeddings is expected");
		if (kind == 1 && depends(w, ids, NULL))
			return unlike(w, table[i]->out[0], "positions that do not depend on the words are expected");
		if (t[kind])
			return unlike(w, table[i]->out[0], "embeddings of input_ids, token_type_ids and positions "
				      "are expected");
		t[kind] = m;
	}
	s->hidden = s->hidden ? s->hidden : (size_t)t[0]->ne[1];
	for (int i = 0; i < 3; i++) {
		*rows[i] = (size_t)t[i]->ne[0];
		if (t[i]->ne[1] != s->hidden)
			return err_set(RAG_EFORMAT, "'%s': %s has another width than %zu", onnx_path(w->o), names[i],
				       s->hidden);
		rc = add_weight(w, "embeddings.", names[i], t[i], *rows[i], s->hidden, false);
		if (rc)
			return rc;
	}
	return add_norm(w, "embeddings.", "LayerNorm", norm);
}

/* From the last layer to the embeddings. */
static int walk(struct walk *w, struct onnx_str v)
{
	const struct onnx_node *table[3];
	struct norm norm;
	size_t n = 0;
	int rc = RAG_OK;

	while (!rc && !(is_norm(&norm, w, v) && is_sum_of_tables(table, w, norm.x))) {
		if (n == LAYERS_MAX)
			return unlike(w, v, "more layers than any BERT has");
		n++;
		rc = layer(w, &v, w->out->shape.layers - n);
	}
	if (!rc && !n)
		rc = unlike(w, v, "there is no layer behind the embeddings");
	w->out->shape.layers = n;
	return rc ? rc : embeddings(w, &norm, table);
}

/* Weights that no step of the walk would take: said of the weight, not of the step. */
static int check_weights(const struct onnx *o)
{
	for (size_t i = 0; i < onnx_n_tensors(o); i++) {
		const struct onnx_tensor *t = onnx_tensor_at(o, i);
		const char *why = NULL;

		if (t->n_dims < 2)
			continue;
		if (t->external)
			why = "lies in another file, which is not read";
		else if (t->type == ONNX_FLOAT16 || t->type == ONNX_BFLOAT16)
			why = "is of 16-bit floats: convert the file of 32-bit floats";
		else if (t->type == ONNX_INT8 || t->type == ONNX_UINT8)
			why = "is quantised: convert the file of 32-bit floats";
		if (why)
			return err_set(RAG_EUNSUP, "'%s': weight '%.*s' %s", onnx_path(o),
				       (int)(t->name.len < 120 ? t->name.len : 120), t->name.s, why);
	}
	return RAG_OK;
}

int onnx_bert_find(struct bert_weights *out, const struct onnx *o)
{
	struct walk w = { .o = o, .out = out };
	struct onnx_str v = { "", 0 };
	int rc;

	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < onnx_n_outputs(o); i++) {
		struct onnx_str name = onnx_output(o, i);

		if (!i || onnx_is(name, "last_hidden_state") || onnx_is(name, "token_embeddings"))
			v = name;
	}
	if (!v.len)
		return err_set(RAG_EFORMAT, "'%s': the graph has no output", onnx_path(o));
	rc = check_weights(o);
	if (rc)
		return rc;
	w.seen = mem_calloc(onnx_n_nodes(o), 1);
	w.stack = mem_calloc(onnx_n_nodes(o), sizeof(*w.stack));
	rc = w.seen && w.stack ? walk(&w, v) : RAG_ENOMEM;
	w.naming = true;	/* now that the layers are counted */
	if (!rc)
		rc = walk(&w, v);
	mem_free(w.seen);
	mem_free(w.stack);
	return rc;
}
