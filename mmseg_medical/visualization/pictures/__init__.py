"""Pictures of cases: sheets of slices, several planes, surfaces in space, curves of trainings."""
