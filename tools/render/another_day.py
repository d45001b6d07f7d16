"""The same rendered people on other days: pose, clothes, light, expression and place change, the person does not."""

from __future__ import annotations

from dataclasses import replace

from tools.render import wardrobe
from tools.render.recipes import BACKDROPS, DEFECTS, Recipe, cycled, draw_recipe

# Seeds that differ by this draw the same sex, race and hair for an index, so that a pose suits the hair, and yet
# neither the same arms nor the same expression, which take turns in tens.
_SEEDS_A_DAY = 3_003


def another_day(recipe: Recipe, day: int) -> Recipe:
    """Return the person of `recipe` as photographed on another day; day 0 is the recipe itself."""
    if day == 0:
        return recipe
    other = draw_recipe(recipe.seed + _SEEDS_A_DAY * day, recipe.index)
    outfits = wardrobe.FEMALE_OUTFITS if recipe.sex == "female" else wardrobe.MALE_OUTFITS
    outfit = outfits[(outfits.index(recipe.outfit) + day) % len(outfits)]
    return replace(
        other,
        age_years=recipe.age_years,
        phenotype=recipe.phenotype,
        local=recipe.local,
        race_share=recipe.race_share,
        skin_gain=recipe.skin_gain,
        hair=recipe.hair,
        hair_colour=recipe.hair_colour,
        brow=recipe.brow,
        lash=recipe.lash,
        iris=recipe.iris,
        outfit=outfit,
        top=cycled(outfit.tops, recipe.index + day),
        backdrop=cycled(BACKDROPS, recipe.index + day),
        defect=cycled(DEFECTS, recipe.index + day),
    )
