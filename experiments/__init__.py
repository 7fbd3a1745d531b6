"""Experiments: the reports' empirical results, regenerated and judged.

Which module answers which question, in the order in which a run meets them (`commands` has one
module for each command, and `catalog` one for each report):

* What is run, and what is claimed? `recipe`, `study`; `statements` about `quantities`; `variants`
  of a recipe, and `lookup` of either by its name.
* Which runs are missing, and where are they carried out? `sweep`, in batches of `runs`, on
  `executors`; in which `layout` that is fastest; `failures` and `interruption`.
* What does a network see, and what is it? `datasets` from `image_files`, `sampling`,
  `augmentation`; `networks`.
* How is it trained? `training` of one run by itself, on its `course` and `device`; `fleet`, of
  several as one program.
* What is told on the way? `heartbeat` of a run in progress, `checkpoint` to go on from, and
  `checkpoint_notes` of how far that is; `status` of all runs.
* What was measured, where, and which of it counts? `records`, with their `provenance`.
* What follows? `findings` on statements, by `statistics`; `verdicts` on claims, and `prospects` of
  those that are open; `comparison` of two recipes, `equivalence` of two precisions, `cost`.
* Who reads it? `reporting`, `figures`, `export`, `portrait`.

`speed` is a race of its own: a recipe for few seconds to a test accuracy. `arguments`, `errors`,
`advice` and `tables` are what commands have in common; `downloads` and `memory` serve several.
"""
