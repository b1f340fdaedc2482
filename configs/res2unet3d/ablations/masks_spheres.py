# Balls of the annotated diameters as targets: rough, and not to be compared with contours.
_base_ = '../luna16.py'
spheres = dict(mask_source='sphere')
train_dataloader = dict(dataset=spheres)
val_dataloader = dict(dataset=spheres)
test_dataloader = dict(dataset=spheres)
