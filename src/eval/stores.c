#include "config.h"
#include "src/eval/stores.h"

#include <string.h>

#include "base/buf.h"
#include "base/conf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/par.h"
#include "model/embed.h"

struct embedder {
	char *name;		/* owned */
	struct embed *e;	/* owned */
};

struct place {
	enum cut cut;
	const struct embed *e;	/* NULL: words alone */
	struct collection *c;	/* owned */
};

struct stores {
	struct stores_opts o;
	struct par *par;
	struct embedder embedder[VARIANTS_MAX + 1];
	size_t n_embedders;
	struct place place[VARIANTS_MAX + 1];
	size_t n_places;
};

int stores_new(struct stores **out, const struct stores_opts *o)
{
	struct stores *s = mem_calloc(1, sizeof(*s));
	int rc;

	*out = NULL;
	if (!s)
		return RAG_ENOMEM;
	s->o = *o;
	rc = par_new(&s->par, o->threads);
	if (rc) {
		stores_free(s);
		return rc;
	}
	*out = s;
	return RAG_OK;
}

void stores_leave(struct stores *s)
{
	for (size_t i = 0; i < s->n_places; i++)
		collection_close(s->place[i].c);
	s->n_places = 0;
}

void stores_free(struct stores *s)
{
	if (!s)
		return;
	stores_leave(s);
	for (size_t i = 0; i < s->n_embedders; i++) {
		embed_close(s->embedder[i].e);
		mem_free(s->embedder[i].name);
	}
	par_free(s->par);
	mem_free(s);
}

static int open_embedder(struct embedder *out, struct stores *s, const char *name)
{
	enum encoder_precision precision;
	struct buf path = BUF_INIT;
	int rc = embed_precision_parse(&precision,
				       s->o.precision ? s->o.precision : conf_env("RAGSTONE_PRECISION"));

	if (!rc)
		rc = conf_model(&path, name, s->o.models);
	if (!rc)
		rc = embed_open(&out->e, buf_str(&path), precision, s->par);
	buf_release(&path);
	if (rc)
		return rc;
	out->name = mem_strdup(name);
	if (!out->name) {
		embed_close(out->e);
		return RAG_ENOMEM;
	}
	return RAG_OK;
}

static int need_embedder(const struct embedder **out, struct stores *s, const char *name)
{
	int rc;

	if (!name)
		name = s->o.model;
	if (!name)
		name = conf_env("RAGSTONE_EMBEDDER");
	if (!name)
		name = CONF_EMBEDDER;
	for (size_t i = 0; i < s->n_embedders; i++) {
		*out = &s->embedder[i];
		if (!strcmp((*out)->name, name))
			return RAG_OK;
	}
	*out = &s->embedder[s->n_embedders];
	rc = open_embedder(&s->embedder[s->n_embedders], s, name);
	s->n_embedders += !rc;
	return rc;
}

int stores_get(struct collection **out, struct stores *s, const struct judged *j, const char *set,
	       const struct variant *c)
{
	struct collection_opts o = {
		.set = set, .keep = s->o.keep, .cut = s->o.own ? CUT_DEFAULT : c->cut,
		.models = s->o.models, .threads = s->o.threads,
		.progress = s->o.progress, .progress_arg = s->o.progress_arg,
	};
	const struct embedder *m;
	int rc = RAG_OK;

	if (!s->o.own && !variant_words_alone(c)) {
		rc = need_embedder(&m, s, c->model);
		if (rc)
			return rc;
		o.embed = m->e;
		o.model = m->name;
	}
	for (size_t i = 0; i < s->n_places; i++) {
		*out = s->place[i].c;
		if (s->place[i].cut == o.cut && s->place[i].e == o.embed)
			return RAG_OK;
	}
	rc = s->o.own ? collection_attach(out, j, &o) : collection_open(out, j, &o);
	if (!rc)
		s->place[s->n_places++] = (struct place){ o.cut, o.embed, *out };
	return rc;
}
