/* filter_impl - an expression as it is evaluated (private to filter*.c). */
#ifndef RAG_INDEX_FILTER_IMPL_H
#define RAG_INDEX_FILTER_IMPL_H

#include "base/regex.h"
#include "index/filter.h"

/* Of one match of a pattern against one value: some milliseconds. */
#define FILTER_STEPS 100000u

enum filter_kind { FILTER_AND, FILTER_OR, FILTER_NOT, FILTER_TERM };
enum filter_op {
	FILTER_EQ, FILTER_LT, FILTER_LE, FILTER_GT, FILTER_GE,	/* as filter_order() has them */
	FILTER_REGEX, FILTER_GLOB, FILTER_HAS,
};
enum filter_key {
	FILTER_LABEL, FILTER_URI, FILTER_PATH, FILTER_TITLE, FILTER_TYPE, FILTER_SIZE,
	FILTER_ADDED, FILTER_MODIFIED,
};

struct filter_value {
	char *text;			/* owned */
	size_t len;
	bool number;
	double n;
};

struct filter_node {
	enum filter_kind kind;
	struct filter_node *child, *next;	/* owned: the first below, the next beside */
	/* FILTER_TERM */
	enum filter_key key;
	char *name;			/* owned */
	size_t name_len;
	enum filter_op op;
	struct filter_value *value;	/* owned (n); several: "in", with FILTER_EQ */
	size_t n;
	struct regex *re;		/* owned */
};

struct filter {
	struct filter_node *root;	/* owned */
};

void filter_node_free(struct filter_node *n);		/* and what hangs on it; NULL is allowed */

/* A decimal number of at most 15 digits, so that equal ones are equal: "2020", "-1.5e3". */
bool filter_number(double *out, const char *s, size_t n);
/* filter_glob() on n bytes. */
bool filter_glob_range(const char *glob, const char *s, size_t n, bool path);

#endif
