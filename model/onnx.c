#include "config.h"
#include "model/onnx.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"

#define ITEMS_MAX ((size_t)1 << 22)	/* nodes, names, attributes, constants: each */

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* The numbers of onnx.proto3's fields. */
enum { MODEL_GRAPH = 7 };
enum { GRAPH_NODE = 1, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12, GRAPH_SPARSE = 15 };
enum { NODE_INPUT = 1, NODE_OUTPUT, NODE_NAME, NODE_OP, NODE_ATTRIBUTE, NODE_DOMAIN = 7 };
enum { ATTR_NAME = 1, ATTR_F, ATTR_I, ATTR_S, ATTR_T, ATTR_FLOATS = 7, ATTR_INTS };
enum {
	TENSOR_DIMS = 1, TENSOR_TYPE, TENSOR_FLOATS = 4, TENSOR_INT32S, TENSOR_INT64S = 7, TENSOR_NAME, TENSOR_RAW,
	TENSOR_EXTERNAL = 13, TENSOR_LOCATION,
};
enum { VALUE_NAME = 1 };

struct list {
	void *v;		/* owned (n), each of the size that list_add() is told */
	size_t n, cap;
};

struct named {			/* a value and its maker */
	struct onnx_str name;
	size_t node;		/* SIZE_MAX: a constant */
	size_t tensor;		/* of it, otherwise SIZE_MAX */
};

struct onnx {
	struct map map;
	char *path;		/* owned, as all below */
	struct list nodes, strs, attrs, tensors, inputs, outputs, values;
};

struct field {
	unsigned number;
	enum wire wire;
	uint64_t v;			/* of a varint */
	struct onnx_span body;		/* of all others */
};

static int bad(const struct onnx *o, const unsigned char *at, const char *what)
{
	return err_set(RAG_EFORMAT, "'%s': damaged at byte %zu: %s", o->path, (size_t)(at - o->map.data), what);
}

/* Room for one more at *out, zeroed; the list moves. */
static int list_add(void **out, const struct onnx *o, struct list *l, size_t size)
{
	char *p = l->v;

	if (l->n == ITEMS_MAX)
		return err_set(RAG_ELIMIT, "'%s': a graph of more than %zu parts", o->path, ITEMS_MAX);
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;

		p = mem_realloc(l->v, cap, size);
		if (!p)
			return RAG_ENOMEM;
		l->v = p;
		l->cap = cap;
	}
	*out = memset(p + l->n++ * size, 0, size);
	return RAG_OK;
}

/* ---- the wire --------------------------------------------------------------------- */

static int varint(uint64_t *out, const struct onnx *o, struct onnx_span *s)
{
	const unsigned char *at = s->p;
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		if (s->p == s->end)
			return bad(o, at, "a number is cut");
		v |= (uint64_t)(*s->p & 0x7F) << shift;
		if (!(*s->p++ & 0x80)) {
			*out = v;
			return RAG_OK;
		}
	}
	return bad(o, at, "a number is too long");
}

static int next_field(struct field *f, const struct onnx *o, struct onnx_span *s)
{
	const unsigned char *at = s->p;
	uint64_t key, n = 0;
	int rc = varint(&key, o, s);

	if (rc)
		return rc;
	f->number = (unsigned)(key >> 3);
	f->wire = (enum wire)(key & 7);
	if (!f->number || key >> 32)
		return bad(o, at, "no field has this number");
	switch (f->wire) {
	case WIRE_VARINT:
		return varint(&f->v, o, s);
	case WIRE_64:
		n = 8;
		break;
	case WIRE_32:
		n = 4;
		break;
	case WIRE_BYTES:
		rc = varint(&n, o, s);
		break;
	default:
		return bad(o, at, "a field of an unknown kind");
	}
	if (rc)
		return rc;
	if (n > (size_t)(s->end - s->p))
		return bad(o, at, "a field goes beyond its message's end");
	f->body = (struct onnx_span){ s->p, s->p + n };
	s->p += n;
	return RAG_OK;
}

static struct onnx_str str_of(const struct field *f)
{
	struct onnx_str s = { (const char *)f->body.p, (size_t)(f->body.end - f->body.p) };

	return f->wire == WIRE_BYTES ? s : (struct onnx_str){ "", 0 };
}

/* ---- messages ------------------------------------------------------------------------ */

/* Dimensions, packed into one field or one by one. */
static int add_dims(bool *many, struct onnx_tensor *t, const struct onnx *o, const struct field *f)
{
	struct onnx_span s = f->body;
	uint64_t v = f->v;
	int rc = RAG_OK;

	while (!rc && (f->wire == WIRE_VARINT || s.p < s.end)) {
		if (f->wire != WIRE_VARINT)
			rc = varint(&v, o, &s);
		if (!rc && t->n_dims == ONNX_DIMS)
			*many = true;
		else if (!rc)
			t->ne[t->n_dims++] = v;
		if (f->wire == WIRE_VARINT)
			break;
	}
	return rc;
}

static size_t element_bytes(int type)
{
	return type == ONNX_FLOAT || type == ONNX_INT32 ? 4 : type == ONNX_INT64 ? 8 : 0;
}

/* Does what is there fill the shape? */
static int check_tensor(struct onnx_tensor *t, const struct onnx *o, const unsigned char *at, bool many_dims)
{
	size_t each = element_bytes(t->type), have = 0;

	if (many_dims || !each || t->external) {
		t->data = NULL;
		t->bytes = 0;
		return RAG_OK;
	}
	t->count = 1;
	for (int i = 0; i < t->n_dims; i++) {
		if (t->ne[i] > o->map.len || (t->ne[i] && t->count > o->map.len / t->ne[i]))
			return bad(o, at, "a constant larger than the file");
		t->count *= (size_t)t->ne[i];
	}
	if (t->varints)		/* each ends with a byte below 128 */
		for (size_t i = 0; i < t->bytes; i++)
			have += t->data[i] < 0x80;
	else if (t->bytes % each == 0)
		have = t->bytes / each;
	if (have != t->count || (t->varints && t->type == ONNX_FLOAT) || (t->varints && t->bytes && t->data[t->bytes - 1] >= 0x80))
		return bad(o, at, "a constant of another size than its shape");
	return RAG_OK;
}

/* name: of the node's output that it is; NULL: its own. */
static int read_tensor(struct onnx *o, struct onnx_span s, const struct onnx_str *name)
{
	const unsigned char *at = s.p;
	bool many_dims = false;
	struct onnx_tensor *t;
	struct field f;
	void *p;
	int rc = list_add(&p, o, &o->tensors, sizeof(*t));

	if (rc)
		return rc;
	t = p;
	while (!rc && s.p < s.end && !(rc = next_field(&f, o, &s))) {
		switch (f.number) {
		case TENSOR_DIMS:
			rc = add_dims(&many_dims, t, o, &f);
			break;
		case TENSOR_TYPE:
			t->type = f.wire == WIRE_VARINT && f.v < 1000 ? (int)f.v : 0;
			break;
		case TENSOR_FLOATS:
		case TENSOR_INT32S:
		case TENSOR_INT64S:
		case TENSOR_RAW:
			if (f.wire == WIRE_VARINT)
				return bad(o, at, "the numbers of a constant are not in one piece");
			t->data = f.body.p;
			t->bytes = (size_t)(f.body.end - f.body.p);
			t->varints = f.number == TENSOR_INT32S || f.number == TENSOR_INT64S;
			break;
		case TENSOR_NAME:
			t->name = str_of(&f);
			break;
		case TENSOR_EXTERNAL:
			t->external = true;
			break;
		case TENSOR_LOCATION:
			t->external = t->external || (f.wire == WIRE_VARINT && f.v == 1);
			break;
		default:
			break;
		}
	}
	if (name)
		t->name = *name;
	return rc ? rc : check_tensor(t, o, at, many_dims);
}

/* Walks an attribute, for its bounds; a tensor "value" is the constant that a node makes. */
static int read_attribute(struct onnx *o, struct onnx_span s, const struct onnx_node *n)
{
	struct onnx_span tensor = { NULL, NULL };
	struct onnx_str name = { "", 0 };
	struct field f;
	int rc = RAG_OK;

	while (!rc && s.p < s.end && !(rc = next_field(&f, o, &s))) {
		if (f.number == ATTR_NAME)
			name = str_of(&f);
		else if (f.number == ATTR_T && f.wire == WIRE_BYTES)
			tensor = f.body;
	}
	if (!rc && tensor.p && n->n_out == 1 && onnx_is(n->op, "Constant") && onnx_is(name, "value"))
		rc = read_tensor(o, tensor, &n->out[0]);
	return rc;
}

static int add_str(const struct onnx *o, struct list *l, struct onnx_str s)
{
	void *p;
	int rc = list_add(&p, o, l, sizeof(s));

	if (!rc)
		memcpy(p, &s, sizeof(s));
	return rc;
}

/* in, out and attr are places in the lists until all are read: the lists move. */
static int read_node(struct onnx *o, struct onnx_span s)
{
	struct onnx_node n = { .name = { "", 0 }, .op = { "", 0 }, .domain = { "", 0 } };
	struct onnx_span again = s;
	struct field f;
	void *p;
	int rc = RAG_OK;

	/* Twice, so that inputs and outputs each stand together. */
	while (!rc && s.p < s.end && !(rc = next_field(&f, o, &s))) {
		switch (f.number) {
		case NODE_INPUT:
			rc = add_str(o, &o->strs, str_of(&f));
			n.n_in += !rc;
			break;
		case NODE_NAME:
			n.name = str_of(&f);
			break;
		case NODE_OP:
			n.op = str_of(&f);
			break;
		case NODE_DOMAIN:
			n.domain = str_of(&f);
			break;
		default:
			break;
		}
	}
	while (!rc && again.p < again.end && !(rc = next_field(&f, o, &again))) {
		if (f.number == NODE_OUTPUT) {
			rc = add_str(o, &o->strs, str_of(&f));
			n.n_out += !rc;
		} else if (f.number == NODE_ATTRIBUTE && f.wire == WIRE_BYTES) {
			rc = list_add(&p, o, &o->attrs, sizeof(f.body));
			if (!rc)
				memcpy(p, &f.body, sizeof(f.body));
			n.n_attr += !rc;
		}
	}
	if (!rc)
		rc = list_add(&p, o, &o->nodes, sizeof(n));
	if (!rc)
		memcpy(p, &n, sizeof(n));
	return rc;
}

static int read_value_info(const struct onnx *o, struct list *l, struct onnx_span s)
{
	struct field f;
	int rc = RAG_OK;

	while (!rc && s.p < s.end && !(rc = next_field(&f, o, &s)))
		if (f.number == VALUE_NAME)
			return add_str(o, l, str_of(&f));
	return rc;
}

static int read_graph(struct onnx *o, struct onnx_span s)
{
	struct field f;
	int rc = RAG_OK;

	while (!rc && s.p < s.end) {
		const unsigned char *at = s.p;

		rc = next_field(&f, o, &s);
		if (rc || f.wire != WIRE_BYTES)
			continue;
		if (f.number == GRAPH_NODE)
			rc = read_node(o, f.body);
		else if (f.number == GRAPH_INITIALIZER)
			rc = read_tensor(o, f.body, NULL);
		else if (f.number == GRAPH_INPUT)
			rc = read_value_info(o, &o->inputs, f.body);
		else if (f.number == GRAPH_OUTPUT)
			rc = read_value_info(o, &o->outputs, f.body);
		else if (f.number == GRAPH_SPARSE)
			rc = bad(o, at, "sparse constants are not read");
	}
	return rc;
}

/* ---- names --------------------------------------------------------------------------- */

static int str_cmp(struct onnx_str a, struct onnx_str b)
{
	int c = memcmp(a.s, b.s, a.len < b.len ? a.len : b.len);

	return c ? c : a.len < b.len ? -1 : a.len > b.len;
}

static int by_name(const void *a, const void *b)
{
	return str_cmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static int add_value(struct onnx *o, struct onnx_str name, size_t node, size_t tensor)
{
	struct named v = { name, node, tensor };
	void *p;
	int rc;

	if (!name.len)
		return RAG_OK;	/* an output that nobody uses */
	rc = list_add(&p, o, &o->values, sizeof(v));
	if (!rc)
		memcpy(p, &v, sizeof(v));
	return rc;
}

/* Gives nodes their names' places, then each value its maker. */
static int settle(struct onnx *o)
{
	struct onnx_str *str = o->strs.v;
	struct onnx_span *attr = o->attrs.v;
	struct named *v;
	int rc = RAG_OK;

	for (size_t i = 0; i < o->nodes.n; i++) {
		struct onnx_node *n = (struct onnx_node *)o->nodes.v + i;

		n->in = str;
		n->out = str + n->n_in;
		n->attr = attr;
		str += n->n_in + n->n_out;
		attr += n->n_attr;
	}
	for (size_t i = 0; !rc && i < o->nodes.n; i++) {
		const struct onnx_node *n = (const struct onnx_node *)o->nodes.v + i;
		size_t before = o->tensors.n;

		for (size_t k = 0; !rc && k < n->n_attr; k++)
			rc = read_attribute(o, n->attr[k], n);
		for (size_t k = 0; !rc && k < n->n_out && o->tensors.n == before; k++)
			rc = add_value(o, n->out[k], i, SIZE_MAX);
	}
	for (size_t i = 0; !rc && i < o->tensors.n; i++)
		rc = add_value(o, ((struct onnx_tensor *)o->tensors.v)[i].name, SIZE_MAX, i);
	if (rc)
		return rc;
	v = o->values.v;
	if (o->values.n)
		qsort(v, o->values.n, sizeof(*v), by_name);
	for (size_t i = 1; i < o->values.n; i++)
		if (!by_name(&v[i - 1], &v[i]))
			return err_set(RAG_EFORMAT, "'%s': '%.*s' is made twice", o->path,
				       (int)(v[i].name.len < 100 ? v[i].name.len : 100), v[i].name.s);
	return RAG_OK;
}

int onnx_open(struct onnx **out, const char *path)
{
	struct onnx *o = mem_calloc(1, sizeof(*o));
	struct onnx_span s, graph = { NULL, NULL };
	struct field f;
	int rc;

	*out = NULL;
	if (!o)
		return RAG_ENOMEM;
	o->path = mem_strdup(path);
	rc = o->path ? map_open(&o->map, path) : RAG_ENOMEM;
	s = (struct onnx_span){ o->map.data, o->map.len ? o->map.data + o->map.len : NULL };
	while (!rc && s.p < s.end && !(rc = next_field(&f, o, &s)))
		if (f.number == MODEL_GRAPH && f.wire == WIRE_BYTES)
			graph = f.body;
	if (!rc && !graph.p)
		rc = err_set(RAG_EFORMAT, "'%s' has no ONNX graph", path);
	if (!rc)
		rc = read_graph(o, graph);
	if (!rc)
		rc = settle(o);
	if (rc)
		onnx_close(o);
	else
		*out = o;
	return rc;
}

void onnx_close(struct onnx *o)
{
	if (!o)
		return;
	map_close(&o->map);
	mem_free(o->path);
	mem_free(o->nodes.v);
	mem_free(o->strs.v);
	mem_free(o->attrs.v);
	mem_free(o->tensors.v);
	mem_free(o->inputs.v);
	mem_free(o->outputs.v);
	mem_free(o->values.v);
	mem_free(o);
}

/* ---- asked ---------------------------------------------------------------------------- */

const char *onnx_path(const struct onnx *o)
{
	return o->path;
}

size_t onnx_n_outputs(const struct onnx *o)
{
	return o->outputs.n;
}

struct onnx_str onnx_output(const struct onnx *o, size_t i)
{
	return ((const struct onnx_str *)o->outputs.v)[i];
}

size_t onnx_n_tensors(const struct onnx *o)
{
	return o->tensors.n;
}

const struct onnx_tensor *onnx_tensor_at(const struct onnx *o, size_t i)
{
	return (const struct onnx_tensor *)o->tensors.v + i;
}

size_t onnx_n_nodes(const struct onnx *o)
{
	return o->nodes.n;
}

size_t onnx_node_index(const struct onnx *o, const struct onnx_node *n)
{
	return (size_t)(n - (const struct onnx_node *)o->nodes.v);
}

bool onnx_is(struct onnx_str s, const char *want)
{
	return s.len == strlen(want) && !memcmp(s.s, want, s.len);
}

bool onnx_same(struct onnx_str a, struct onnx_str b)
{
	return !str_cmp(a, b);
}

static const struct named *find(const struct onnx *o, struct onnx_str name)
{
	struct named key = { .name = name };

	return o->values.n ? bsearch(&key, o->values.v, o->values.n, sizeof(key), by_name) : NULL;
}

bool onnx_is_input(const struct onnx *o, struct onnx_str name)
{
	for (size_t i = 0; i < o->inputs.n; i++)
		if (onnx_same(((const struct onnx_str *)o->inputs.v)[i], name))
			return !find(o, name);	/* older files list their constants, too */
	return false;
}

const struct onnx_node *onnx_producer(const struct onnx *o, struct onnx_str name)
{
	const struct named *v = find(o, name);

	return v && v->node != SIZE_MAX ? (const struct onnx_node *)o->nodes.v + v->node : NULL;
}

const struct onnx_tensor *onnx_constant(const struct onnx *o, struct onnx_str name)
{
	const struct named *v = find(o, name);

	return v && v->tensor != SIZE_MAX ? (const struct onnx_tensor *)o->tensors.v + v->tensor : NULL;
}

/* The attribute's body; false: there is none. */
static bool attribute(struct onnx_span *out, const struct onnx *o, const struct onnx_node *n, const char *name)
{
	for (size_t i = 0; i < n->n_attr; i++) {
		struct onnx_span s = n->attr[i];
		struct field f;

		while (s.p < s.end && !next_field(&f, o, &s)) {
			if (f.number == ATTR_NAME && onnx_is(str_of(&f), name)) {
				*out = n->attr[i];
				return true;
			}
		}
	}
	return false;
}

/* Its field of this number and kind. */
static bool attribute_field(struct field *f, const struct onnx *o, const struct onnx_node *n,
			    const char *name, unsigned number, enum wire wire)
{
	struct onnx_span s;

	if (!attribute(&s, o, n, name))
		return false;
	while (s.p < s.end && !next_field(f, o, &s))
		if (f->number == number && f->wire == wire)
			return true;
	return false;
}

static uint64_t little(const unsigned char *p, size_t bytes)
{
	uint64_t v = 0;

	for (size_t i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

static float float_at(const unsigned char *p)
{
	uint32_t u = (uint32_t)little(p, 4);
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

float onnx_attr_f(const struct onnx *o, const struct onnx_node *n, const char *name, float otherwise)
{
	struct field f;

	return attribute_field(&f, o, n, name, ATTR_F, WIRE_32) ? float_at(f.body.p) : otherwise;
}

int64_t onnx_attr_i(const struct onnx *o, const struct onnx_node *n, const char *name, int64_t otherwise)
{
	struct field f;

	return attribute_field(&f, o, n, name, ATTR_I, WIRE_VARINT) ? (int64_t)f.v : otherwise;
}

struct onnx_str onnx_attr_s(const struct onnx *o, const struct onnx_node *n, const char *name)
{
	struct field f;

	return attribute_field(&f, o, n, name, ATTR_S, WIRE_BYTES) ? str_of(&f) : (struct onnx_str){ "", 0 };
}

bool onnx_attr_ints(int64_t *out, size_t want, const struct onnx *o, const struct onnx_node *n, const char *name)
{
	struct onnx_span s;
	size_t have = 0;
	struct field f;

	if (!attribute(&s, o, n, name))
		return false;
	while (s.p < s.end && !next_field(&f, o, &s)) {
		struct onnx_span list = f.body;
		uint64_t v;

		if (f.number != ATTR_INTS)
			continue;
		if (f.wire == WIRE_VARINT) {
			if (have < want)
				out[have] = (int64_t)f.v;
			have++;
			continue;
		}
		while (list.p < list.end && !varint(&v, o, &list)) {
			if (have < want)
				out[have] = (int64_t)v;
			have++;
		}
	}
	return have == want;
}

bool onnx_number(double *out, const struct onnx_tensor *t, size_t i)
{
	const unsigned char *p = t->data;
	uint64_t v = 0;

	if (i >= t->count || !p)
		return false;
	if (t->type == ONNX_FLOAT) {
		*out = float_at(p + 4 * i);
		return true;
	}
	if (!t->varints) {
		v = little(p + element_bytes(t->type) * i, element_bytes(t->type));
	} else {
		for (; i; p++)
			i -= *p < 0x80;
		for (unsigned shift = 0; ; shift += 7) {
			v |= shift < 64 ? (uint64_t)(*p & 0x7F) << shift : 0;
			if (*p++ < 0x80)
				break;
		}
	}
	*out = t->type == ONNX_INT32 ? (double)(int32_t)v : (double)(int64_t)v;
	return true;
}
