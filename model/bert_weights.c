#include "config.h"
#include "model/bert_weights.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

int bert_weights_add(struct bert_weight **out, struct bert_weights *b, const char *layer, const char *name)
{
	struct bert_weight *p = mem_realloc(b->w, b->n + 1, sizeof(*p));

	if (!p)
		return RAG_ENOMEM;
	b->w = p;
	*out = memset(&p[b->n++], 0, sizeof(*p));
	snprintf((*out)->name, sizeof((*out)->name), "%s%s", layer, name);
	return RAG_OK;
}

void bert_weights_release(struct bert_weights *b)
{
	mem_free(b->w);
	memset(b, 0, sizeof(*b));
}

size_t bert_weight_count(const struct bert_weight *w)
{
	return (w->rows ? w->rows : 1) * w->columns;
}
