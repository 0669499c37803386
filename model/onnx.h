/*
 * onnx - an .onnx file's graph, mapped and checked.
 *
 * Format: onnx/onnx.proto3 in protocol buffers' wire encoding, of which this
 * reads what a converter needs: nodes with their attributes, constants
 * (initializers and the tensors of Constant nodes alike), names of inputs and
 * outputs.  Messages nest to a fixed depth, so nothing recurses; names and
 * data are borrowed from the mapping and gone at close.  A value has one name
 * and one maker.  Types that are parametric (sequences, subgraphs) are passed
 * over: the nodes that need them are refused by whoever walks the graph.
 * Immutable: share it.
 */
#ifndef RAG_MODEL_ONNX_H
#define RAG_MODEL_ONNX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ONNX_DIMS 4		/* of a constant; one with more is kept without data */

enum onnx_type {		/* TensorProto.DataType */
	ONNX_FLOAT = 1, ONNX_UINT8 = 2, ONNX_INT8 = 3, ONNX_INT32 = 6, ONNX_INT64 = 7, ONNX_FLOAT16 = 10,
	ONNX_BFLOAT16 = 16,
};

struct onnx;

struct onnx_str {
	const char *s;			/* not NUL-terminated */
	size_t len;
};
struct onnx_span {
	const unsigned char *p, *end;
};
struct onnx_tensor {
	struct onnx_str name;
	int type;			/* enum onnx_type, or another of the format's */
	int n_dims;			/* 0: a scalar */
	uint64_t ne[ONNX_DIMS];		/* the last is the fastest */
	const unsigned char *data;	/* (bytes) little-endian, at any address; NULL: not in this file, or
					   of a type that we don't read */
	size_t bytes, count;
	bool varints;			/* data is integers in the wire's own form: onnx_number() reads any */
	bool external;			/* its data lies in another file */
};
struct onnx_node {
	struct onnx_str name, op, domain;
	const struct onnx_str *in, *out;	/* (n_in), (n_out); an input left out is "" */
	size_t n_in, n_out;
	const struct onnx_span *attr;		/* (n_attr) */
	size_t n_attr;
};

/* RAG_EFORMAT names the file and the byte.  The caller owns *out. */
int onnx_open(struct onnx **out, const char *path);
void onnx_close(struct onnx *o);		/* NULL is allowed */
const char *onnx_path(const struct onnx *o);

size_t onnx_n_outputs(const struct onnx *o);
struct onnx_str onnx_output(const struct onnx *o, size_t i);
size_t onnx_n_tensors(const struct onnx *o);		/* constants */
const struct onnx_tensor *onnx_tensor_at(const struct onnx *o, size_t i);
size_t onnx_n_nodes(const struct onnx *o);
size_t onnx_node_index(const struct onnx *o, const struct onnx_node *n);
bool onnx_is_input(const struct onnx *o, struct onnx_str name);	/* given by the caller of the graph */

/* Who makes a value: a node, a constant, or neither (NULL). */
const struct onnx_node *onnx_producer(const struct onnx *o, struct onnx_str name);
const struct onnx_tensor *onnx_constant(const struct onnx *o, struct onnx_str name);

bool onnx_is(struct onnx_str s, const char *want);
bool onnx_same(struct onnx_str a, struct onnx_str b);
/* Attributes by name, and what holds without. */
float onnx_attr_f(const struct onnx *o, const struct onnx_node *n, const char *name, float otherwise);
int64_t onnx_attr_i(const struct onnx *o, const struct onnx_node *n, const char *name, int64_t otherwise);
/* Exactly so many. */
bool onnx_attr_ints(int64_t *out, size_t want, const struct onnx *o, const struct onnx_node *n,
		    const char *name);
struct onnx_str onnx_attr_s(const struct onnx *o, const struct onnx_node *n, const char *name);	/* "" if none */
/* Element i of a constant of floats or integers; false: there is none. */
bool onnx_number(double *out, const struct onnx_tensor *t, size_t i);

#endif
