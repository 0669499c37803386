/*
 * tiny_onnx - writes the model of tiny_bert as an ONNX file, the way exporters do.
 *
 * The same values (tiny_bert_value), weights of linear layers turned round and
 * nameless, every step in elementary operators; tiny_onnx says what is done
 * otherwise, or wrong.
 */
#ifndef RAG_TESTS_TINY_ONNX_H
#define RAG_TESTS_TINY_ONNX_H

#include "tests/tiny_bert.h"

struct tiny_onnx {
	bool fused_norm, fused_gelu;	/* LayerNormalization, Gelu */
	bool upright;			/* weights as BertModel has them, behind a Transpose */
	bool loose_heads;		/* shapes say -1 heads; scores are scaled before they are multiplied */
	bool typed_floats;		/* float_data, int64_data in place of raw_data */
	/* the last layer's */
	const char *act;		/* operator in place of Erf; NULL: Erf */
	bool bias;			/* something learnt is added to the scores */
	bool wide;			/* the linear layer behind GELU has another width */
	float scale;			/* of the scores; 0: the right one */
	bool words;			/* positions depend on the words */
	bool external, half;		/* its weights: in another file, of 16 bits */
	bool no_output;
};

static void pb_varint(struct buf *b, uint64_t v)
{
	for (; v > 127; v >>= 7)
		buf_addc(b, (char)(v | 128));
	buf_addc(b, (char)v);
}

static void pb_int(struct buf *b, unsigned field, uint64_t v)
{
	pb_varint(b, (uint64_t)field << 3);
	pb_varint(b, v);
}

static void pb_bytes(struct buf *b, unsigned field, const void *p, size_t n)
{
	pb_varint(b, (uint64_t)field << 3 | 2);
	pb_varint(b, n);
	buf_add(b, p, n);
}

static void pb_str(struct buf *b, unsigned field, const char *s)
{
	pb_bytes(b, field, s, strlen(s));
}

struct to {			/* a graph in the making */
	const struct tiny_onnx *o;
	struct buf graph;
	int layer;
	int n;			/* values named so far */
};

/* A value's name that nothing else has. */
static const char *to_name(struct to *t)
{
	static char names[16][24];
	char *s = names[t->n % 16];

	snprintf(s, sizeof(names[0]), "v%d", t->n++);
	return s;
}

/* attr: an encoded AttributeProto; NULL: none.  Inputs NULL are left out. */
static const char *to_node(struct to *t, const char *op, const struct buf *attr, const char *a, const char *b,
			   const char *c, const char *d)
{
	const char *in[] = { a, b, c, d }, *out = to_name(t);
	struct buf n = BUF_INIT;
	char name[64];

	for (int i = 0; i < 4; i++)
		if (in[i])
			pb_str(&n, 1, in[i]);
	pb_str(&n, 2, out);
	snprintf(name, sizeof(name), "/layer.%d/%s_%s", t->layer, op, out);
	pb_str(&n, 3, name);
	pb_str(&n, 4, op);
	if (attr)
		pb_bytes(&n, 5, attr->data, attr->len);
	pb_bytes(&t->graph, 1, n.data, n.len);
	buf_release(&n);
	return out;
}

static const char *to_ints(struct to *t, const char *op, const char *attr, const int64_t *v, size_t n,
			   const char *a)
{
	struct buf b = BUF_INIT;
	const char *out;

	pb_str(&b, 1, attr);
	for (size_t i = 0; i < n; i++)
		pb_int(&b, 8, (uint64_t)v[i]);
	out = to_node(t, op, &b, a, NULL, NULL, NULL);
	buf_release(&b);
	return out;
}

/* TensorProto of floats or (type 7) integers. */
static void to_tensor(struct buf *b, const struct to *t, const char *name, const size_t *dims, size_t n_dims,
		      int type, const void *data, size_t count)
{
	const struct tiny_onnx *o = t->o;

	for (size_t i = 0; i < n_dims; i++)
		pb_int(b, 1, dims[i]);
	pb_int(b, 2, o->half && type == 1 && n_dims == 2 ? 10 : (uint64_t)type);
	if (name)
		pb_str(b, 8, name);
	if (o->external && n_dims == 2) {
		pb_int(b, 14, 1);
	} else if (!o->typed_floats) {
		pb_bytes(b, 9, data, count * (type == 7 ? 8 : 4));
	} else if (type == 7) {
		struct buf packed = BUF_INIT;

		for (size_t i = 0; i < count; i++)
			pb_varint(&packed, (uint64_t)((const int64_t *)data)[i]);
		pb_bytes(b, 7, packed.data, packed.len);
		buf_release(&packed);
	} else {
		pb_bytes(b, 4, data, count * 4);
	}
}

/* A Constant node. */
static const char *to_constant(struct to *t, int type, const void *data, size_t n, bool scalar)
{
	struct buf tensor = BUF_INIT, attr = BUF_INIT;
	const char *out;

	to_tensor(&tensor, t, NULL, &n, scalar ? 0 : 1, type, data, n);
	pb_str(&attr, 1, "value");
	pb_bytes(&attr, 5, tensor.data, tensor.len);
	out = to_node(t, "Constant", &attr, NULL, NULL, NULL, NULL);
	buf_release(&tensor);
	buf_release(&attr);
	return out;
}

static const char *to_float(struct to *t, float f)
{
	return to_constant(t, 1, &f, 1, true);
}

/* An initializer: the tensor of this name, rows 0 a vector; turn: written (columns, rows). */
static const char *to_weight(struct to *t, const char *name, size_t rows, size_t columns, bool turn)
{
	size_t count = (rows ? rows : 1) * columns, dims[2] = { turn ? columns : rows, turn ? rows : columns };
	float *v = malloc(count * sizeof(*v));
	const char *as = turn ? to_name(t) : name;
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < count; i++)
		v[turn ? i % columns * rows + i / columns : i] = tiny_bert_value(name, i);
	if (rows)
		to_tensor(&b, t, as, dims, 2, 1, v, count);
	else
		to_tensor(&b, t, as, &columns, 1, 1, v, count);
	pb_bytes(&t->graph, 5, b.data, b.len);
	buf_release(&b);
	free(v);
	return as;
}

static const char *to_linear(struct to *t, const char *at, const char *name, size_t n, size_t k, const char *x)
{
	static const int64_t perm[] = { 1, 0 };
	char full[2][96];
	const char *w, *b;

	snprintf(full[0], sizeof(full[0]), "%s%s.weight", at, name);
	snprintf(full[1], sizeof(full[1]), "%s%s.bias", at, name);
	w = to_weight(t, full[0], n, k, !t->o->upright);
	b = to_weight(t, full[1], 0, n, false);
	if (t->o->upright)
		w = to_ints(t, "Transpose", "perm", perm, 2, w);
	return to_node(t, "Add", NULL, b, to_node(t, "MatMul", NULL, x, w, NULL, NULL), NULL, NULL);
}

static const char *to_norm(struct to *t, const char *at, const char *name, const char *in)
{
	static const int64_t last = -1;
	const char *gain, *bias, *c, *s, *x = in;
	char full[2][96], kept[24], centred[24];
	struct buf eps = BUF_INIT;

	snprintf(kept, sizeof(kept), "%s", in);
	x = kept;
	snprintf(full[0], sizeof(full[0]), "%s%s.weight", at, name);
	snprintf(full[1], sizeof(full[1]), "%s%s.bias", at, name);
	gain = to_weight(t, full[0], 0, TB_HIDDEN, false);
	bias = to_weight(t, full[1], 0, TB_HIDDEN, false);
	if (t->o->fused_norm) {
		float e = 1e-12f;

		pb_str(&eps, 1, "epsilon");
		pb_varint(&eps, 2 << 3 | 5);
		buf_add(&eps, &e, 4);
		s = to_node(t, "LayerNormalization", &eps, x, gain, bias, NULL);
		buf_release(&eps);
		return s;
	}
	c = to_node(t, "Sub", NULL, x, to_ints(t, "ReduceMean", "axes", &last, 1, x), NULL, NULL);
	snprintf(centred, sizeof(centred), "%s", c);
	s = to_node(t, "Pow", NULL, centred, to_float(t, 2), NULL, NULL);
	s = to_ints(t, "ReduceMean", "axes", &last, 1, s);
	s = to_node(t, "Add", NULL, s, to_float(t, 1e-12f), NULL, NULL);
	s = to_node(t, "Sqrt", NULL, s, NULL, NULL, NULL);
	s = to_node(t, "Div", NULL, centred, s, NULL, NULL);
	return to_node(t, "Add", NULL, to_node(t, "Mul", NULL, s, gain, NULL, NULL), bias, NULL, NULL);
}

static const char *to_heads(struct to *t, const char *at, const char *name, const char *x, bool keys, float scale)
{
	static const int64_t perm[2][4] = { { 0, 2, 1, 3 }, { 0, 2, 3, 1 } };
	int64_t shape[4] = { 0, 0, t->o->loose_heads ? -1 : TB_HEADS, TB_HIDDEN / TB_HEADS };
	const char *v = to_linear(t, at, name, TB_HIDDEN, TB_HIDDEN, x);

	v = to_node(t, "Reshape", NULL, v, to_constant(t, 7, shape, 4, false), NULL, NULL);
	v = to_ints(t, "Transpose", "perm", perm[keys], 4, v);
	return scale != 1 ? to_node(t, "Mul", NULL, v, to_float(t, scale), NULL, NULL) : v;
}

static const char *to_layer(struct to *t, const char *in, const char *mask, bool last)
{
	static const int64_t perm[4] = { 0, 2, 1, 3 }, shape[3] = { 0, 0, TB_HIDDEN };
	struct tiny_onnx plain = { 0 };
	const struct tiny_onnx *o = t->o, *all = last ? o : &plain;
	float scale = all->scale != 0 ? all->scale : 1 / sqrtf(TB_HIDDEN / TB_HEADS);
	char at[40], x[24], q[24], k[24], v[24], middle[24], up[24];
	const char *s;

	snprintf(x, sizeof(x), "%s", in);
	snprintf(at, sizeof(at), "encoder.layer.%d.", t->layer);
	snprintf(q, sizeof(q), "%s", to_heads(t, at, "attention.self.query", x, false, o->loose_heads ? sqrtf(scale) : 1));
	snprintf(k, sizeof(k), "%s", to_heads(t, at, "attention.self.key", x, true, o->loose_heads ? sqrtf(scale) : 1));
	snprintf(v, sizeof(v), "%s", to_heads(t, at, "attention.self.value", x, false, 1));
	s = to_node(t, "MatMul", NULL, q, k, NULL, NULL);
	if (!o->loose_heads)
		s = to_node(t, "Div", NULL, s, to_float(t, 1 / scale), NULL, NULL);
	s = to_node(t, "Add", NULL, s, all->bias ? x : mask, NULL, NULL);
	s = to_ints(t, "Softmax", "axis", (int64_t[]){ -1 }, 0, s);
	s = to_node(t, "MatMul", NULL, s, v, NULL, NULL);
	s = to_ints(t, "Transpose", "perm", perm, 4, s);
	s = to_node(t, "Reshape", NULL, s, to_constant(t, 7, shape, 3, false), NULL, NULL);
	s = to_linear(t, at, "attention.output.dense", TB_HIDDEN, TB_HIDDEN, s);
	s = to_norm(t, at, "attention.output.LayerNorm", to_node(t, "Add", NULL, s, x, NULL, NULL));
	snprintf(middle, sizeof(middle), "%s", s);
	s = to_linear(t, at, "intermediate.dense", TB_FFN, TB_HIDDEN, middle);
	snprintf(up, sizeof(up), "%s", s);
	if (o->fused_gelu) {
		s = to_node(t, "Gelu", NULL, up, NULL, NULL, NULL);
	} else {
		s = to_node(t, "Div", NULL, up, to_float(t, sqrtf(2)), NULL, NULL);
		s = to_node(t, all->act ? all->act : "Erf", NULL, s, NULL, NULL, NULL);
		s = to_node(t, "Add", NULL, s, to_float(t, 1), NULL, NULL);
		s = to_node(t, "Mul", NULL, up, s, NULL, NULL);
		s = to_node(t, "Mul", NULL, s, to_float(t, .5f), NULL, NULL);
	}
	s = to_linear(t, at, "output.dense", TB_HIDDEN, TB_FFN + all->wide, s);
	return to_norm(t, at, "output.LayerNorm", to_node(t, "Add", NULL, s, middle, NULL, NULL));
}

/* The file's bytes, appended to out. */
__attribute__((unused))
static void tiny_onnx(struct buf *out, const struct tiny_onnx *o)
{
	static const char *const inputs[] = { "input_ids", "attention_mask", "token_type_ids" };
	struct to t = { .o = o, .graph = BUF_INIT, .layer = -1 };
	struct buf b = BUF_INIT;
	char mask[24], sum[24];
	const char *s, *at;

	for (int i = 0; i < 3; i++) {
		buf_clear(&b);
		pb_str(&b, 1, inputs[i]);
		pb_bytes(&t.graph, 11, b.data, b.len);
	}
	s = to_node(&t, "Sub", NULL, to_float(&t, 1), "attention_mask", NULL, NULL);
	snprintf(mask, sizeof(mask), "%s", to_node(&t, "Mul", NULL, s, to_float(&t, -1e9f), NULL, NULL));
	at = o->words ? "input_ids" : to_node(&t, "Shape", NULL, "input_ids", NULL, NULL, NULL);
	at = to_node(&t, "Slice", NULL, to_constant(&t, 7, (int64_t[]){ 0, 1 }, 2, false), at, NULL, NULL);
	at = to_node(&t, "Gather", NULL, to_weight(&t, "embeddings.position_embeddings.weight", TB_POSITIONS, TB_HIDDEN, false),
		     at, NULL, NULL);
	s = to_node(&t, "Gather", NULL, to_weight(&t, "embeddings.word_embeddings.weight", TB_VOCAB, TB_HIDDEN, false),
		    "input_ids", NULL, NULL);
	snprintf(sum, sizeof(sum), "%s", to_node(&t, "Add", NULL, s, at, NULL, NULL));
	s = to_node(&t, "Gather", NULL, to_weight(&t, "embeddings.token_type_embeddings.weight", TB_TYPES, TB_HIDDEN, false),
		    "token_type_ids", NULL, NULL);
	s = to_norm(&t, "embeddings.", "LayerNorm", to_node(&t, "Add", NULL, s, sum, NULL, NULL));
	for (t.layer = 0; t.layer < TB_LAYERS; t.layer++)
		s = to_layer(&t, s, mask, t.layer == TB_LAYERS - 1);
	if (!o->no_output) {
		buf_clear(&b);
		pb_str(&b, 1, s);
		pb_bytes(&t.graph, 12, b.data, b.len);
	}
	pb_int(out, 1, 8);
	pb_bytes(out, 7, t.graph.data, t.graph.len);
	buf_clear(&b);
	pb_int(&b, 2, 17);
	pb_bytes(out, 8, b.data, b.len);
	buf_release(&b);
	buf_release(&t.graph);
}

#endif
