#include "config.h"
#include "src/eval/variant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

static bool is(const char *s, size_t len, const char *word)
{
	return strlen(word) == len && !memcmp(s, word, len);
}

static int set_str(char **slot, const char *s, size_t len)
{
	mem_free(*slot);
	*slot = mem_strndup(s, len);
	return *slot ? RAG_OK : RAG_ENOMEM;
}

static int set_mode(struct variant *c, const char *s, size_t len)
{
	static const char *const modes[] = { "hybrid", "fusion", "dense", "bm25" };

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (is(s, len, modes[i]))
			return set_str(&c->mode, s, len);
	return err_set(RAG_EINVAL, "no search mode '%.*s': hybrid, fusion, dense or bm25", (int)len, s);
}

static int set_weight(struct variant *c, const char *s, size_t len)
{
	char text[32] = "", *end;

	if (len < sizeof(text))
		memcpy(text, s, len);
	c->weight = strtod(text, &end);
	if (end == text || *end || !(c->weight > 0 && c->weight <= 1))
		return err_set(RAG_EINVAL, "weight=%.*s is not above 0 and at most 1", (int)len, s);
	return RAG_OK;
}

static int set_skip(struct variant *c, const char *s, size_t len)
{
	if (is(s, len, "late"))
		c->skip |= RAG_SKIP_LATE;
	else if (is(s, len, "second"))
		c->skip |= RAG_SKIP_SECOND;
	else
		return err_set(RAG_EINVAL, "skip=%.*s: late or second", (int)len, s);
	return RAG_OK;
}

static int set_key(struct variant *c, const char *part, size_t len)
{
	const char *value = memchr(part, '=', len);
	size_t n = value ? (size_t)(value - part) : len, rest = value ? len - n - 1 : 0;

	if (value)
		value++;
	if (value && rest && is(part, n, "weight"))
		return set_weight(c, value, rest);
	if (value && rest && is(part, n, "skip"))
		return set_skip(c, value, rest);
	if (value && rest && is(part, n, "chunks"))
		return cut_parse(&c->cut, value, rest);
	if (value && rest && is(part, n, "model"))
		return set_str(&c->model, value, rest);
	if (value && rest && is(part, n, "expand"))
		return set_str(&c->expand, value, rest);
	if (value && rest == 1 && is(part, n, "turns") && (*value == '0' || *value == '1')) {
		c->turns = *value == '1';
		return RAG_OK;
	}
	return err_set(RAG_EINVAL, "no setting '%.*s': weight=, skip=, chunks=, model=, expand= or turns=0|1",
		       (int)len, part);
}

static int copy(struct variant *out, const struct variant *base)
{
	int rc;

	out->weight = base->weight;
	out->skip = base->skip;
	out->cut = base->cut;
	out->turns = base->turns;
	rc = set_str(&out->mode, base->mode, strlen(base->mode));
	if (!rc && base->expand)
		rc = set_str(&out->expand, base->expand, strlen(base->expand));
	return !rc && base->model ? set_str(&out->model, base->model, strlen(base->model)) : rc;
}

int variant_parse(struct variant *out, const char *spec, size_t len, const struct variant *base,
		 enum cut cut)
{
	const char *end = spec + len, *next = memchr(spec, ':', len);
	size_t n = next ? (size_t)(next - spec) : len;
	int rc;

	memset(out, 0, sizeof(*out));
	out->cut = cut;
	rc = set_str(&out->name, spec, len);
	if (!rc && base && memchr(spec, '=', n)) {
		rc = copy(out, base);
		next = spec - 1;
	} else if (!rc) {
		rc = set_mode(out, spec, n);
	}
	while (!rc && next) {
		const char *part = next + 1;

		next = memchr(part, ':', (size_t)(end - part));
		rc = set_key(out, part, (size_t)((next ? next : end) - part));
	}
	if (!rc && out->cut == CUT_DEFAULT)
		out->cut = strcmp(out->mode, "bm25") ? CUT_WINDOWS : CUT_DOCUMENT;
	if (!rc && out->cut == CUT_DOCUMENT && strcmp(out->mode, "bm25"))
		rc = err_set(RAG_EINVAL, "chunks=document is words alone: only for mode bm25, not %s", out->mode);
	return rc;
}

void variant_release(struct variant *c)
{
	mem_free(c->name);
	mem_free(c->mode);
	mem_free(c->model);
	mem_free(c->expand);
	memset(c, 0, sizeof(*c));
}

bool variant_words_alone(const struct variant *c)
{
	return c->cut == CUT_DOCUMENT;
}

struct rag_search_opts variant_search(const struct variant *c)
{
	struct rag_search_opts o = RAG_SEARCH_OPTS_INIT;

	o.mode = c->mode;
	o.weight = c->weight;
	o.skip = c->skip;
	o.expand = c->expand;
	return o;
}

static int add(struct variants *all, const char *spec, size_t len, const struct variant *base,
	       enum cut cut)
{
	if (all->n == VARIANTS_MAX)
		return err_set(RAG_ELIMIT, "more than %d modes", VARIANTS_MAX);
	return variant_parse(&all->v[all->n++], spec, len, base, cut);
}

int variants_add_to(struct variants *all, const char *spec, enum cut cut)
{
	return add(all, spec, strlen(spec), &all->v[0], cut);
}

int variants_add(struct variants *all, const char *list, enum cut cut)
{
	int rc = RAG_OK;

	for (size_t len; !rc; list += len + 1) {
		len = strcspn(list, ",");
		rc = add(all, list, len, NULL, cut);
		if (!list[len])
			break;
	}
	return rc;
}

int variants_stages(struct variants *all, enum cut cut)
{
	static const char *const stages[][2] = {
		{ "dense", "dense" }, { "bm25", "words" }, { "fusion", "fusion" },
		{ "hybrid:skip=second", "+ late" }, { "hybrid", "+ second" },
	};
	int rc = RAG_OK;

	for (size_t i = 0; !rc && i < sizeof(stages) / sizeof(stages[0]); i++) {
		const char *name = stages[i][1];

		/* all of one store: the words that the fusion has */
		rc = add(all, stages[i][0], strlen(stages[i][0]), NULL,
			 cut ? cut : CUT_WINDOWS);
		if (!rc)
			rc = set_str(&all->v[all->n - 1].name, name, strlen(name));
	}
	return rc;
}

void variants_release(struct variants *all)
{
	for (size_t i = 0; i < all->n; i++)
		variant_release(&all->v[i]);
	all->n = 0;
}
